"""Small top-down models and batches of RMPE's networks."""

from copy import deepcopy

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from torch import nn

SIZE, MAP, JOINTS = (48, 64), (12, 16), 4
MAPS = dict(input_size=SIZE, heatmap_size=MAP, sigma=2)
CODECS = dict(
    heatmap=dict(MAPS, type='MSRAHeatmap'),
    udp=dict(MAPS, type='UDPHeatmap'),
    combined=dict(MAPS, type='UDPHeatmap', heatmap_type='combined'),
    simcc=dict(type='SimCCLabel', input_size=SIZE, sigma=4.0),
    RegressionHead=dict(type='RegressionLabel', input_size=SIZE),
    RLEHead=dict(type='RegressionLabel', input_size=SIZE),
)
GAU = dict(hidden_dims=16, s=8, expansion_factor=2, act_fn='SiLU')
GAU.update(dropout_rate=0.0, drop_path=0.0, use_rel_bias=False, pos_enc=False)
PREPROCESSOR = dict(
    type='PoseDataPreprocessor', mean=[120.0, 110, 100], std=[60.0, 50, 40]
)
# thetas that see from nearer and beside
THETA = torch.tensor([[0.8, 0.0, 0.1], [0.0, 0.8, -0.2]])
THETAS = torch.stack([THETA, THETA])


@MODELS.register_module(force=True)
class TinyBackbone(nn.Module):
    """Two convolutions with stride 4 and batch norm."""

    def __init__(self, channels=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 2, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, x):
        return (self.layers(x),)


def sppe(kind='heatmap', **test_cfg):
    """Config of a plain top-down model.

    With ``+vis`` after the kind its head is one of visibility around it.
    """
    kind, _, visibility = kind.partition('+')
    neck, use_weight = None, dict(use_target_weight=True)
    if kind in ('heatmap', 'udp', 'combined'):
        head = dict(
            type='HeatmapHead',
            out_channels=JOINTS * (3 if kind == 'combined' else 1),
            deconv_out_channels=None,
            loss=dict(type='KeypointMSELoss', **use_weight),
        )
    elif kind == 'simcc':
        head = dict(
            type='RTMCCHead',
            out_channels=JOINTS,
            input_size=SIZE,
            in_featuremap_size=MAP,
            gau_cfg=GAU,
        )
    else:
        neck = dict(type='GlobalAveragePooling')
        loss = 'RLELoss' if kind == 'RLEHead' else 'SmoothL1Loss'
        head = dict(type=kind, num_joints=JOINTS)
        head['loss'] = dict(type=loss, **use_weight)
    head.update(in_channels=8, decoder=deepcopy(CODECS[kind]))
    if visibility:
        head = dict(type='VisPredictHead', pose_cfg=head)
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=deepcopy(PREPROCESSOR),
        backbone=dict(type='TinyBackbone'),
        neck=neck,
        head=head,
        test_cfg=dict(flip_test=False, **test_cfg),
    )


def plain(kind='heatmap', seed=0):
    """A plain top-down model with random weights, of which outputs differ."""
    torch.manual_seed(seed)
    model = MODELS.build(sppe(kind))
    with torch.no_grad():
        for parameter in model.head.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return model


def transform_of(kind):
    """SimCC's vectors cannot mix the axes."""
    return 'scale_shift' if 'simcc' in kind else 'affine'


def rmpe_config(kind='heatmap', transform=None, sstn=None, **kwargs):
    """Config of an RMPE model."""
    transform = transform or transform_of(kind)
    head = dict(type='SSTNHead', in_channels=8, transform=transform)
    config = dict(
        type='ParallelSPPE',
        sppe=sppe(kind),
        localizer=dict(type='TinyBackbone'),
        sstn=head | (sstn or {}),
    )
    return config | kwargs


def rmpe(kind='heatmap', seed=0, **kwargs):
    """An RMPE model with the same SPPE weights as :func:`plain`."""
    torch.manual_seed(seed + 100)
    model = MODELS.build(rmpe_config(kind, **kwargs))
    report = model.load_state_dict(plain(kind, seed).state_dict(), False)
    assert not report.unexpected_keys
    return model


def feature_level(kind='heatmap', transform=None, test_cfg=None):
    """A plain config whose head has been put into an SSTNHead."""
    config = sppe(kind)
    config['test_cfg'].update(test_cfg or {})
    config['head'] = dict(
        type='SSTNHead',
        in_channels=8,
        transform=transform or transform_of(kind),
        neck=config.pop('neck'),
        head=config['head'],
    )
    torch.manual_seed(50)
    model = MODELS.build(config)
    report = model.load_state_dict(plain(kind).state_dict(), False)
    assert not report.unexpected_keys
    assert all('theta_fc' in key for key in report.missing_keys)
    # its own checkpoint loads as well
    model.load_state_dict(model.state_dict())
    return model


def trained():
    """A model that has its parallel branch from a training step."""
    model = rmpe(parallel=dict()).train()
    model.loss(*batch())
    assert model.with_parallel
    return model


def batch(kind='heatmap', count=2, center=True):
    """Normalised inputs and data samples with both targets."""
    rng = np.random.default_rng(0)
    codec = KEYPOINT_CODECS.build(CODECS[kind.partition('+')[0]])
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, SIZE[1], SIZE[0], generator=generator)
    samples = []
    for _ in range(count):
        sample = PoseDataSample(
            metainfo=dict(
                input_size=SIZE,
                input_center=np.array([24.0, 32.0]),
                input_scale=np.array([48.0, 64.0]),
                flip_indices=[0, 2, 1, 3],
                img_path='an image',
            )
        )
        labels, fields = InstanceData(), PixelData()
        for prefix in ('', 'center_') if center else ('',):
            keypoints = rng.uniform(8, 40, (1, JOINTS, 2)).astype(np.float32)
            visible = np.ones((1, JOINTS), dtype=np.float32)
            for key, value in codec.encode(keypoints, visible).items():
                target = fields if key == 'heatmaps' else labels
                target.set_field(torch.from_numpy(value), prefix + key)
        if center:
            labels.center_keypoints = torch.from_numpy(keypoints)
        sample.gt_instance_labels, sample.gt_fields = labels, fields
        sample.gt_instances = InstanceData(
            bboxes=np.array([[0.0, 0, 48, 64]]), bbox_scores=np.ones(1)
        )
        samples.append(sample)
    return inputs, samples


def set_theta(sstn, theta=THETA):
    """Make an SSTNHead regress a fixed theta, or fixed parameters."""
    params = torch.as_tensor(theta).flatten()
    if sstn.transform == 'scale_shift' and len(params) == 6:
        params = params[[0, 2, 5]]
    with torch.no_grad():
        sstn.theta_fc.weight.zero_()
        sstn.theta_fc.bias.copy_(params)


def predict(model, inputs, samples):
    """Keypoints and their visibility: scores without a head of it."""
    with torch.no_grad():
        results = model.eval().predict(inputs.clone(), deepcopy(samples))
    poses = [result.pred_instances for result in results]
    return tuple(
        np.concatenate([each.get(field) for each in poses])
        for field in ('keypoints', 'keypoints_visible')
    )
