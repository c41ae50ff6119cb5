"""Fixtures shared by the whole suite."""

import importlib.util
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

os.environ.setdefault('MPLBACKEND', 'Agg')

# Before mmpose: with mmcv-lite this is what lets mmpose import.
import rmpe_spm  # noqa: E402, F401

torch.set_num_threads(int(os.environ.get('RMPE_SPM_TEST_THREADS', '1')))


@pytest.fixture(scope='session', autouse=True)
def _registered():
    """Register mmpose's and our components in mmpose's default scope."""
    from mmpose.utils import register_all_modules

    register_all_modules(init_default_scope=True)


@pytest.fixture(scope='session', autouse=True)
def _default_data_folders():
    """Read configs as they are where the user's variables name no data."""
    for variable in ('COCO_MINI', 'GENERATED', 'GENERATED_3D'):
        os.environ.pop(variable, None)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def load_tool(repo_root):
    """Import a file of ``tools/``, which is no package, by its name."""

    def load(name):
        path = repo_root / 'tools' / f'{name}.py'
        spec = importlib.util.spec_from_file_location(f'tools_{name}', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope='session')
def shared_dir(repo_root) -> Path:
    """The folder of real data beside the checkout; skips without it."""
    path = Path(os.environ.get('RMPE_SPM_SHARED', repo_root.parent / 'shared'))
    if not (path / 'data').is_dir():
        pytest.skip(f'the real data is not beside this checkout ({path})')
    return path


@pytest.fixture(scope='session')
def coco_mini(shared_dir):
    """Annotations of photographs, and the results of a good model on them."""
    folder = shared_dir / 'data' / 'coco_mini'
    names = (
        'annotations/person_keypoints_val2017.json',
        'results/yolo11n_pose_val2017.json',
    )
    return [json.loads((folder / name).read_text()) for name in names]


@pytest.fixture(scope='session')
def tiny_coco(tmp_path_factory) -> Path:
    """Return a folder with ``images/`` and ``annotations.json``: noise.

    Four images of 96x72 with two people each, all joints visible.
    """
    root = tmp_path_factory.mktemp('tiny_coco')
    (root / 'images').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for image_id in range(1, 5):
        name = f'{image_id:012d}.jpg'
        pixels = rng.integers(0, 255, (72, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(root / 'images' / name), pixels)
        images.append(dict(id=image_id, file_name=name, width=96, height=72))
        for person in range(2):
            x, y, w, h = 4 + 46 * person, 6, 40, 60
            points = rng.uniform((x, y), (x + w, y + h), (17, 2)).round(1)
            keypoints = np.c_[points, np.full(17, 2)].ravel().tolist()
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    num_keypoints=17,
                    keypoints=keypoints,
                )
            )
    category = dict(id=1, name='person', keypoints=[''] * 17, skeleton=[])
    (root / 'annotations.json').write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=[category])
        )
    )
    return root


@pytest.fixture
def tiny_config(tiny_coco, tmp_path) -> Config:
    """Return the config of a small top-down model that trains in a second.

    One epoch of two batches of four people; its folder is ``tmp_path``.
    """
    codec = dict(
        type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1
    )
    dataset = dict(
        type='CocoDataset',
        data_root=str(tiny_coco),
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
        data_mode='topdown',
    )
    load = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=codec['input_size']),
    ]
    target = [dict(type='GenerateTarget', encoder=codec)]
    pack = [dict(type='PackPoseInputs')]
    train = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(dataset, pipeline=load + target + pack),
    )
    evaluate = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(dataset, pipeline=load + pack, test_mode=True),
    )
    evaluator = dict(
        type='CocoMetric', ann_file=str(tiny_coco / 'annotations.json')
    )
    return Config(
        dict(
            default_scope='mmpose',
            custom_imports=dict(
                imports=['rmpe_spm'], allow_failed_imports=False
            ),
            # mmengine keeps global state by this name.
            experiment_name=f'tiny_{tmp_path.name}',
            work_dir=str(tmp_path),
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(
                    type='PoseDataPreprocessor',
                    mean=[123.675, 116.28, 103.53],
                    std=[58.395, 57.12, 57.375],
                    bgr_to_rgb=True,
                ),
                backbone=dict(
                    type='MobileNetV2', widen_factor=0.25, out_indices=(1,)
                ),
                head=dict(
                    type='HeatmapHead',
                    in_channels=8,
                    out_channels=17,
                    deconv_out_channels=None,
                    loss=dict(type='KeypointMSELoss'),
                    decoder=codec,
                ),
            ),
            train_dataloader=train,
            val_dataloader=evaluate,
            test_dataloader=evaluate,
            val_evaluator=evaluator,
            test_evaluator=evaluator,
            train_cfg=dict(by_epoch=True, max_epochs=1),
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, end=4, by_epoch=False)
            ],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(
                    type='CheckpointHook', save_best='coco/AP', rule='greater'
                ),
            ),
            randomness=dict(seed=0),
            log_level='WARNING',
        )
    )


@pytest.fixture
def write_model(tiny_config, tmp_path):
    """Write ``tiny_config`` with changes, and random weights of a seed."""

    from mmpose.models import build_pose_estimator

    def write(name='tiny', seed=0, **changes):
        config, weights = tmp_path / f'{name}.py', tmp_path / f'{name}.pth'
        cfg = tiny_config.copy()
        cfg.merge_from_dict(changes)
        cfg.dump(config)
        torch.manual_seed(seed)
        model = build_pose_estimator(cfg.model)
        torch.save({'state_dict': model.state_dict()}, weights)
        return str(config), str(weights)

    return write


@pytest.fixture
def easy_annotations(tiny_coco, tmp_path):
    """People so large that poses of random weights find some of them."""
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    for person in content['annotations']:
        person['area'] *= 40
    path = tmp_path / 'easy.json'
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def tiny_detections(tiny_coco, tmp_path) -> Path:
    """Return detections of the people in ``tiny_coco``, 3 pixels off."""
    people = json.loads((tiny_coco / 'annotations.json').read_text())
    boxes = [
        dict(
            image_id=person['image_id'],
            category_id=1,
            bbox=[value + 3 for value in person['bbox']],
            score=0.9 - 0.1 * index,
        )
        for index, person in enumerate(people['annotations'])
    ]
    path = tmp_path / 'detections.json'
    path.write_text(json.dumps(boxes))
    return path


@pytest.fixture
def tiny_stages(tiny_config, tiny_detections, tmp_path) -> tuple[Path, Path]:
    """Return the configs of RMPE's two stages, tested on detections.

    One epoch each; they take what else they have from ``tiny_config``.
    """
    cfg = tiny_config
    cfg.test_dataloader.dataset.bbox_file = str(tiny_detections)
    steps = cfg.train_dataloader.dataset.pipeline
    steps.insert(1, dict(type='PGPGTransform', mode='global_gaussian'))
    stage1, stage2 = tmp_path / 'stage1.py', tmp_path / 'stage2.py'
    cfg.dump(stage1)
    codec = steps[-2]['encoder']
    steps.insert(-1, dict(type='GenerateCenterTarget', encoder=codec))
    localizer = dict(type='MobileNetV2', widen_factor=0.25, out_indices=(1,))
    cfg.model = dict(
        type='ParallelSPPE',
        sppe=cfg.model,
        localizer=localizer,
        sstn=dict(type='SSTNHead', in_channels=8, transform='scale_shift'),
        parallel=dict(),
    )
    cfg.dump(stage2)
    return stage1, stage2
