from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import save_checkpoint
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from rmpe_spm import PoseResult
from rmpe_spm.inference.inputs import Picture

COCO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
PREPROCESSOR = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
TOPDOWN_CODEC = dict(
    type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1
)
BOTTOMUP_CODEC = dict(
    type='HierarchicalSPRCodec', input_size=(64, 64), heatmap_size=(16, 16)
)
NMS = dict(type='ParametricPoseNMS', preset='mpii', rank_by='score')

META_KEYS = [
    'img_path',
    'ori_shape',
    'img_shape',
    'input_size',
    'input_center',
    'input_scale',
    'flip_indices',
    'camera',
]


def _saved(folder, name, kind, head, steps, **settings):
    """Write a tiny model's config and random weights; give both paths."""
    dataset = dict(
        type='CocoDataset',
        data_mode=kind.lower(),
        pipeline=[
            dict(type='LoadImage'),
            *steps,
            dict(type='PackPoseInputs', meta_keys=META_KEYS),
        ],
    )
    backbone = dict(type='MobileNetV2', widen_factor=0.25, out_indices=(1,))
    cfg = Config(
        dict(
            default_scope='mmpose',
            custom_imports=dict(imports=['rmpe_spm']),
            model=dict(
                type=f'{kind}PoseEstimator',
                data_preprocessor=PREPROCESSOR,
                backbone=backbone,
                head=dict(head, in_channels=8),
                **settings,
            ),
            train_dataloader=dict(dataset=dataset),
            test_dataloader=dict(dataset=dataset),
        )
    )
    config, weights = folder / f'{name}.py', folder / f'{name}.pth'
    cfg.dump(config)
    torch.manual_seed(0)
    model = MODELS.build(deepcopy(cfg.model))
    for stage in getattr(model.head, 'stages', []):
        torch.nn.init.constant_(stage.heatmap_layer.bias, 0.5)
        torch.nn.init.normal_(stage.heatmap_layer.weight, 0, 0.5)
        torch.nn.init.normal_(stage.displacement_layer.weight, 0, 0.5)
    meta = dict(dataset_meta=COCO)
    save_checkpoint(
        dict(state_dict=model.state_dict(), meta=meta), str(weights)
    )
    return dict(config=config, weights=weights, device='cpu')


@pytest.fixture(scope='session')
def models_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('models')


@pytest.fixture(scope='session')
def topdown(models_dir):
    """Config and weights of a tiny top-down model, as keyword arguments."""
    head = dict(
        type='HeatmapHead',
        out_channels=17,
        deconv_out_channels=None,
        loss=dict(type='KeypointMSELoss'),
        decoder=TOPDOWN_CODEC,
    )
    steps = [
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(48, 64)),
    ]
    test_cfg = dict(flip_test=True, flip_mode='heatmap')
    return _saved(
        models_dir, 'topdown', 'Topdown', head, steps, test_cfg=test_cfg
    )


def _spm(folder, name, **codec):
    decoder = dict(BOTTOMUP_CODEC, **codec)
    head = dict(type='SPMHead', num_keypoints=17, decoder=decoder)
    resize = dict(type='BottomupResize', input_size=(64, 64), size_factor=32)
    return _saved(folder, name, 'Bottomup', head, [resize])


@pytest.fixture(scope='session')
def bottomup(models_dir):
    """Config and weights of a tiny SPM, which finds people everywhere."""
    return _spm(models_dir, 'bottomup')


@pytest.fixture(scope='session')
def bottomup_3d(models_dir):
    """The same in 3D."""
    return _spm(models_dir, 'bottomup_3d', type='HierarchicalSPR3DCodec')


def random_image(seed=0, size=(96, 72)):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def pictures(tmp_path):
    """A folder of five pictures of two sizes."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for i in range(5):
        size = (96, 72) if i % 2 else (60, 90)
        cv2.imwrite(str(folder / f'{i + 1}.png'), random_image(i, size))
    return folder


@pytest.fixture
def write_video():
    """Write a video of numbered grey frames; give their images."""

    def write(path, number=12, size=(64, 48), codec='MJPG'):
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter_fourcc(*codec), 10, size
        )
        assert writer.isOpened()
        greys = (20 * i % 250 for i in range(number))
        frames = [np.full((*size[::-1], 3), grey, np.uint8) for grey in greys]
        for frame in frames:
            writer.write(frame)
        writer.release()
        return frames

    return write


@pytest.fixture
def make_picture():
    def make(image=None, name='a.jpg', index=0, **kwargs):
        image = random_image() if image is None else image
        return Picture(image, name, index, **kwargs)

    return make


@pytest.fixture
def make_result():
    """A result whose joints are counted: person i's joint k at (100i+k, k)."""

    def make(number=2, path='folder/photo.jpg', frame=None):
        k = np.arange(17, dtype=np.float32)
        x = 100 * np.arange(number, dtype=np.float32)[:, None] + k
        points = np.stack((x, np.broadcast_to(k, x.shape)), -1)
        return PoseResult(
            points,
            np.full((number, 17), 0.5, np.float32),
            np.linspace(0.75, 0.25, number, dtype=np.float32),
            np.float32([(100 * i, 0, 100 * i + 20, 16) for i in range(number)])
            .reshape(-1, 4),
            path,
            frame,
            (640, 480),
            COCO,
        )  # fmt: skip

    return make
