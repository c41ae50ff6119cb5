import pytest
import torch
from mmpose.models import build_backbone

from rmpe_spm.engine.shipped import find_mobilenet_v2_file


def test_writes_what_a_config_loads(tool, tmp_path, capsys):
    try:
        weights = find_mobilenet_v2_file()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    out = tmp_path / 'mobilenet_v2.pth'
    tool.main(['--weights', str(weights), '--out', str(out)])
    assert str(out) in capsys.readouterr().out
    config = dict(type='MobileNetV2', out_indices=(7,))
    config['init_cfg'] = dict(type='Pretrained', checkpoint=str(out))
    model = build_backbone(config)
    model.init_weights()
    source = torch.load(weights, weights_only=True)
    torch.testing.assert_close(
        model.conv2.bn.running_mean, source['features.18.1.running_mean']
    )


def test_failures_are_told(tool, tmp_path, refusal):
    other = tmp_path / 'other.pth'
    other.write_bytes(b'other')
    for name, said in (('absent.pth', 'absent.pth'), ('other.pth', 'SHA-256')):
        weights, out = tmp_path / name, tmp_path / 'out.pth'
        argv = ['--weights', weights, '--out', out]
        assert said in refusal(tool.main, *argv)
        assert not out.exists()
