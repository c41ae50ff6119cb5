"""Small top-down models and batches for the tests of RMPE's networks."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from torch import nn

SIZE, MAP, JOINTS = (48, 64), (12, 16), 4
MSRA = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=MAP, sigma=2)
UDP = dict(type='UDPHeatmap', input_size=SIZE, heatmap_size=MAP, sigma=2)
SIMCC = dict(type='SimCCLabel', input_size=SIZE, sigma=4.0)
REGRESSION = dict(type='RegressionLabel', input_size=SIZE)


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


def sppe(kind='heatmap', codec=None, **test_cfg):
    """Config of a plain top-down model."""
    neck = None
    if kind == 'heatmap':
        codec = codec or MSRA
        channels = JOINTS * (3 if codec.get('heatmap_type') else 1)
        head = dict(
            type='HeatmapHead',
            in_channels=8,
            out_channels=channels,
            deconv_out_channels=None,
            loss=dict(type='KeypointMSELoss', use_target_weight=True),
        )
    elif kind == 'simcc':
        codec = SIMCC
        head = dict(
            type='RTMCCHead',
            in_channels=8,
            out_channels=JOINTS,
            input_size=SIZE,
            in_featuremap_size=MAP,
            gau_cfg=dict(
                hidden_dims=16,
                s=8,
                expansion_factor=2,
                dropout_rate=0.0,
                drop_path=0.0,
                act_fn='SiLU',
                use_rel_bias=False,
                pos_enc=False,
            ),
        )
    else:
        codec = REGRESSION
        neck = dict(type='GlobalAveragePooling')
        loss = dict(type='SmoothL1Loss', use_target_weight=True)
        if kind == 'RLEHead':
            loss = dict(type='RLELoss', use_target_weight=True)
        head = dict(type=kind, in_channels=8, num_joints=JOINTS, loss=loss)
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor',
            mean=[120.0, 110, 100],
            std=[60.0, 50, 40],
        ),
        backbone=dict(type='TinyBackbone'),
        neck=neck,
        head=dict(**head, decoder=deepcopy(codec)),
        test_cfg=dict(flip_test=False, **test_cfg),
    )


def plain(kind='heatmap', seed=0, **kwargs):
    """A plain top-down model with random weights."""
    torch.manual_seed(seed)
    model = MODELS.build(sppe(kind, **kwargs))
    spread_weights(model)
    return model


def spread_weights(model):
    """Enlarge the weights, so that outputs differ visibly."""
    with torch.no_grad():
        for parameter in model.head.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)


def rmpe(kind='heatmap', seed=0, transform=None, sstn=None, **kwargs):
    """An RMPE model with the same SPPE weights as :func:`plain`."""
    if transform is None:
        transform = 'scale_shift' if kind == 'simcc' else 'affine'
    sppe_kwargs = {k: kwargs.pop(k) for k in ('codec',) if k in kwargs}
    torch.manual_seed(seed + 100)
    model = MODELS.build(
        dict(
            type='ParallelSPPE',
            sppe=sppe(kind, **sppe_kwargs),
            localizer=dict(type='TinyBackbone'),
            sstn=dict(
                type='SSTNHead',
                in_channels=8,
                transform=transform,
                **(sstn or {}),
            ),
            **kwargs,
        )
    )
    source = plain(kind, seed, **sppe_kwargs)
    model.load_state_dict(source.state_dict(), strict=False)
    return model


def batch(kind='heatmap', count=2, seed=0, codec=None, center=True):
    """Normalised inputs and data samples with both targets."""
    rng = np.random.default_rng(seed)
    codec = codec or {'heatmap': MSRA, 'simcc': SIMCC}.get(kind, REGRESSION)
    codec = KEYPOINT_CODECS.build(codec)
    generator = torch.Generator().manual_seed(seed)
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
            encoded = codec.encode(
                keypoints, np.ones((1, JOINTS), dtype=np.float32)
            )
            for key, value in encoded.items():
                target = fields if key == 'heatmaps' else labels
                target.set_field(torch.from_numpy(value), prefix + key)
        sample.gt_instance_labels, sample.gt_fields = labels, fields
        sample.gt_instances = InstanceData(
            bboxes=np.array([[0.0, 0, 48, 64]]), bbox_scores=np.ones(1)
        )
        samples.append(sample)
    return inputs, samples


def set_theta(sstn, theta):
    """Make an SSTNHead regress fixed parameters."""
    with torch.no_grad():
        sstn.theta_fc.weight.zero_()
        sstn.theta_fc.bias.copy_(torch.as_tensor(theta).flatten())


def predict(model, inputs, samples, *fields):
    """Fields of the predicted poses of all samples, each in one array.

    Without names, ``keypoints`` and ``keypoint_scores``.
    """
    with torch.no_grad():
        results = model.eval().predict(inputs.clone(), deepcopy(samples))
    poses = [result.pred_instances for result in results]
    return tuple(
        np.concatenate([each.get(field) for each in poses])
        for field in fields or ('keypoints', 'keypoint_scores')
    )


@pytest.fixture(scope='session')
def tiny():
    """Builders of tiny models and batches."""
    return SimpleNamespace(
        sppe=sppe,
        plain=plain,
        rmpe=rmpe,
        batch=batch,
        predict=predict,
        set_theta=set_theta,
        spread_weights=spread_weights,
        size=SIZE,
        map=MAP,
        joints=JOINTS,
        msra=MSRA,
        udp=UDP,
    )
