"""RMPE around the models of mmpose's own configs, made small."""

import io
import warnings
from pathlib import Path

import mmpose
import numpy as np
import pytest
import torch
from config_files import make_small, run_pipeline
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmpose.registry import MODELS
from topdown_people import person

CONFIGS = Path(mmpose.__file__).parent / '.mim' / 'configs'
BODY, LARGE = 'body_2d_keypoint/', '8xb64-210e_coco-256x192'
HEATMAP = f'{BODY}topdown_heatmap/coco/'
MODEL_CONFIGS = [
    f'{HEATMAP}td-hm_res50_{LARGE}',
    f'{HEATMAP}td-hm_res50_dark-{LARGE}',
    f'{HEATMAP}td-hm_hrnet-w32_{LARGE}',
    f'{HEATMAP}td-hm_hrnet-w32_udp-{LARGE}',
    f'{HEATMAP}td-hm_hrnet-w32_udp-regress-{LARGE}',
    f'{HEATMAP}td-hm_litehrnet-18_{LARGE}',
    f'{HEATMAP}td-hm_mobilenetv2_{LARGE}',
    f'{HEATMAP}td-hm_shufflenetv2_{LARGE}',
    f'{HEATMAP}td-hm_vipnas-mbv3_{LARGE}',
    f'{HEATMAP}td-hm_seresnet50_{LARGE}',
    f'{HEATMAP}td-hm_resnest50_{LARGE}',
    f'{HEATMAP}td-hm_pvt-s_{LARGE}',
    f'{HEATMAP}td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192',
    f'{HEATMAP}td-hm_hrformer-small_8xb32-210e_coco-256x192',
    f'{HEATMAP}td-hm_ViTPose-small_{LARGE}',
    f'{HEATMAP}td-hm_ViTPose-small-simple_{LARGE}',
    f'{HEATMAP}td-hm_hourglass52_8xb32-210e_coco-256x256',
    f'{HEATMAP}td-hm_cpm_8xb64-210e_coco-256x192',
    f'{HEATMAP}td-hm_2xmspn50_8xb32-210e_coco-256x192',
    f'{HEATMAP}td-hm_rsn18_8xb32-210e_coco-256x192',
    f'{HEATMAP}cspnext-s_udp_8xb256-210e_coco-256x192',
    f'{BODY}rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192',
    f'{BODY}simcc/coco/simcc_res50_{LARGE}',
    f'{BODY}simcc/coco/simcc_vipnas-mbv3_{LARGE}',
    f'{BODY}topdown_regression/coco/td-reg_res50_{LARGE}',
    f'{BODY}topdown_regression/coco/td-reg_res50_rle-{LARGE}',
    f'{BODY}integral_regression/coco/ipr_res50_8xb64-210e_coco-256x256',
    f'{BODY}integral_regression/coco/ipr_res50_debias-8xb64-210e_coco-256x256',
    f'{BODY}integral_regression/coco/ipr_res50_dsnt-8xb64-210e_coco-256x256',
    'wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/'
    'td-hm_vipnas-mbv3_dark-8xb64-210e_coco-wholebody-256x192',
    'wholebody_2d_keypoint/rtmpose/coco-wholebody/'
    'rtmpose-m_8xb64-270e_coco-wholebody-256x192',
    'hand_2d_keypoint/topdown_heatmap/onehand10k/'
    'td-hm_hrnetv2-w18_udp-8xb64-210e_onehand10k-256x256',
    'face_2d_keypoint/topdown_heatmap/wflw/'
    'td-hm_hrnetv2-w18_awing-8xb64-60e_wflw-256x256',
    'animal_2d_keypoint/topdown_heatmap/ap10k/'
    'td-hm_res50_8xb64-210e_ap10k-256x256',
]
# of a training pipeline, without augmentation
STEPS = (
    'GetBBoxCenterScale',
    'TopdownAffine',
    'GenerateTarget',
    'PackPoseInputs',
)
SIDE = 64
SIZES = ('input_size', 'heatmap_size', 'in_featuremap_size', 'img_size')


def shrink(node, shares):
    """Make all sizes of a config smaller by shares (x, y), in place."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if key in SIZES or key == 'out_shape':
            turned = -1 if key in ('img_size', 'out_shape') else 1
            node[key] = tuple(
                int(side * share)
                for side, share in zip(value, shares[::turned], strict=True)
            )
        elif isinstance(value, dict | list):
            shrink(value, shares)


def load(name):
    """A config without pretrained weights or augmentation, made small."""
    if 'ViTPose' in name:
        pytest.importorskip('mmpretrain.models', reason='ViTPose needs it')
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    make_small(cfg._cfg_dict)
    codec = cfg.codec[0] if isinstance(cfg.codec, list) else cfg.codec
    codec = codec.get('keypoint_codec', codec)
    # five times halved, an hourglass needs more
    side = 2 * SIDE if 'hourglass' in name else SIDE
    shares = [side / length for length in codec.input_size]
    for part in (cfg.model, cfg.train_dataloader, cfg.val_dataloader):
        shrink(part, shares)
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline = [s for s in dataset.pipeline if s.type in STEPS]
    return cfg, (side, side)


def wrapped(cfg, size, level):
    """The model with an SSTN that sees theta other than the identity."""
    sstn = dict(type='SSTNHead', transform='scale_shift')
    config = cfg.model
    if level == 'image':
        config = dict(
            type='ParallelSPPE',
            sppe=config,
            localizer=dict(
                type='MobileNetV2', widen_factor=0.25, out_indices=(1,)
            ),
            localizer_size=(32, 32),
            sstn=dict(sstn, in_channels=8),
        )
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config))
    if level == 'features':
        neck = config.get('neck')
        if getattr(neck, 'type', '') == 'GlobalAveragePooling':
            sstn['neck'], model.neck = neck, None
            del model._modules['neck']
        with torch.no_grad():
            last = model.eval().extract_feat(torch.zeros(1, 3, *size[::-1]))
        while not isinstance(last, torch.Tensor):
            last = last[-1]
        sstn.update(in_channels=last.shape[1], head=config.head)
        model.head = MODELS.build(sstn)
        model.train()
    theta_fc = (model.head if level == 'features' else model.sstn).theta_fc
    torch.nn.init.normal_(theta_fc.weight, 0, 0.01)
    return model, theta_fc


# one of each kind of features and of heads
KINDS = [
    'res50_8',
    'res50_dark',
    'litehrnet',
    'swin',
    'ViTPose-small_',
    'hourglass',
    'mspn',
    'rsn',
    'rtmpose-s',
    'simcc_res50',
    'rle',
    'dsnt',
    'awing',
]
CASES = [(name, 'image') for name in MODEL_CONFIGS]
CASES += [
    (next(name for name in MODEL_CONFIGS if kind in name), 'features')
    for kind in KINDS
]


@pytest.mark.parametrize(
    ('name', 'level'),
    CASES,
    ids=[f'{Path(name).name}, {level}' for name, level in CASES],
)
def test_trains_and_predicts(name, level):
    cfg, size = load(name)
    model, theta_fc = wrapped(cfg, size, level)
    people = [person(cfg, seed) for seed in (0, 1)]
    batch = run_pipeline(cfg.train_dataloader, people)
    data = model.data_preprocessor(batch, True)
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert loss.isfinite()
    assert theta_fc.bias.grad.isfinite().all()
    assert (theta_fc.bias.grad != 0).any()
    model.eval()
    joints = person(cfg, 0)['keypoints'].shape[1]
    for sdtn in ('coordinates', 'heatmaps'):
        model.test_cfg['sdtn'] = sdtn
        with torch.no_grad():
            results = model(**data, mode='predict')
        for result in results:
            keypoints = result.pred_instances.keypoints
            assert keypoints.shape == (1, joints, 2)
            assert np.isfinite(keypoints).all(), sdtn
            assert np.isfinite(result.pred_instances.keypoint_scores).all()


@pytest.mark.parametrize(
    ('kind', 'level'),
    [
        ('litehrnet-18', 'image'),
        ('rle', 'image'),
        ('rtmpose-s', 'features'),
        ('rsn18', 'features'),
    ],
)
def test_exports(kind, level):
    """With PyTorch's older exporter, which all versions here have."""
    onnxruntime = pytest.importorskip('onnxruntime')
    cfg, size = load(next(name for name in MODEL_CONFIGS if kind in name))
    model, _ = wrapped(cfg, size, level)
    model.eval()
    images = torch.randn(2, 3, *size[::-1])
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            model, images, buffer, opset_version=17, dynamo=False
        )
    session = onnxruntime.InferenceSession(buffer.getvalue())
    (given,) = session.get_inputs()
    found = session.run(None, {given.name: images.numpy()})
    with torch.no_grad():
        expected = flat(model(images, None))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def flat(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for part in outputs for tensor in flat(part)]
