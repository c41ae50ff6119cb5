"""Generated people in space: pictures, both annotations, who is in front."""

import json

import numpy as np
import pytest
import torch
from config_files import ROOT
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmpose.registry import DATASETS, METRICS, MODELS

from rmpe_spm.cameras import project
from rmpe_spm.synthetic.camera_space import (
    compose_space,
    generate_camera_space,
    sample_view,
)

COCO = dict(from_file='configs/_base_/datasets/coco.py')
SIZE = (160, 128)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('space') / 'people'
    return generate_camera_space(
        folder, 24, 8, size=SIZE, views=6, progress=False
    )


def scenes(above, count=12):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        view = sample_view(rng, SIZE, above)
        yield view, *compose_space(rng, view)


@pytest.mark.parametrize('above', [False, True])
def test_pixels_and_places_agree(above):
    """Exactly; people have a person's size and stand on the floor."""
    total = 0
    for view, scene, people in scenes(above):
        for figure, joints in zip(scene.people, people, strict=True):
            pixels = project(joints, view.calibration)
            np.testing.assert_allclose(pixels, figure.keypoints, atol=1e-6)
            shoulder, hip = joints[[5, 6]].mean(0), joints[[11, 12]].mean(0)
            assert 350 < np.linalg.norm(shoulder - hip) < 800
            # 10 times CMU's world in cm, whose floor is y = 0
            rotation = np.array(view.calibration['R'])
            shift = 10 * np.array(view.calibration['t'])[:, 0]
            world = (joints - shift) @ rotation
            assert -350 < world[:, 1].max() < 350
            total += 1
    assert total > 10


def test_who_is_nearer_is_in_front():
    for _, scene, people in scenes(False):
        depths = [joints[:, 2].mean() for joints in people]
        hips = [joints[[11, 12], 2].mean() for joints in people]
        assert hips == sorted(hips, reverse=True)
        if len(depths) > 1:
            last = scene.people[-1]
            height, width = last.parts.shape
            window = scene.owners[
                last.y : last.y + height, last.x : last.x + width
            ]
            assert (window[last.parts > 0] == len(depths)).all()


def test_both_annotations_are_the_same_people(root):
    path = root / 'annotations' / 'person_keypoints_train.json'
    content = json.loads(path.read_text())
    assert len(content['images']) == 24
    by_picture = {}
    for person in content['annotations']:
        by_picture.setdefault(person['image_id'], []).append(person)
    dataset = DATASETS.build(
        dict(
            type='PanopticMultiPersonDataset',
            data_root=str(root / 'train'),
            metainfo=COCO,
            test_mode=True,
            pipeline=[dict(type='LoadImage')],
        )
    )
    samples = [dataset[index] for index in range(len(dataset))]
    assert len(samples) == 24 and sum(map(len, by_picture.values())) > 20
    by_path = {sample['img_path']: sample for sample in samples}
    for image in content['images']:
        sample = by_path[str(root / 'train' / image['file_name'])]
        assert sample['img'].shape == (*SIZE[::-1], 3)
        people = by_picture.get(image['id'], [])
        assert len(sample['keypoints']) == len(people)
        for own, person in enumerate(people):
            triples = np.reshape(person['keypoints'], (17, 3))
            flags = sample['keypoints_visible'][own] > 0
            # a joint on the frame's last pixel may fall out by rounding
            assert (flags != (triples[:, 2] > 0)).sum() <= 1
            flags &= triples[:, 2] > 0
            np.testing.assert_allclose(
                sample['keypoints'][own, flags], triples[flags, :2], atol=0.1
            )
            depths = sample['keypoints_cam'][own, flags, 2]
            assert (depths > 1500).all() and (depths < 12000).all()


def test_the_same_arguments_give_the_same_files(root, tmp_path):
    again = generate_camera_space(
        tmp_path / 'again', 24, 0, size=SIZE, views=6, progress=False
    )
    for path in (again / 'train').rglob('*.j*'):
        other = root / path.relative_to(again)
        assert path.read_bytes() == other.read_bytes()
    pitches = []
    for path in sorted((root / 'train').glob('*/calibration_*.json')):
        (camera,) = json.loads(path.read_text())['cameras']
        pitches.append(np.degrees(np.arcsin(camera['R'][2][1])))
    # from the side and from above, in turn
    assert max(pitches[::2]) < 15 < min(pitches[1::2])


def test_what_is_refused(root):
    with pytest.raises(ValueError, match='is not empty'):
        generate_camera_space(root, 1, 1)
    with pytest.raises(ValueError, match='must not be negative'):
        generate_camera_space(root / 'new', -1, 1)


def test_the_config_trains_and_predicts_in_space(root, monkeypatch):
    """From the files to the metric, with a network that knows nothing."""
    monkeypatch.setenv('GENERATED_3D', str(root))
    # mmpose's metric would take the annotations of another test from its hub
    MessageHub.get_instance(str(root))
    name = 'spm-3d_movenet-multipose_1xb8-6e_generated-3d-256x192.py'
    cfg = Config.fromfile(ROOT / 'configs/spm/generated' / name)
    codec = cfg.codec
    assert cfg.model.head.decoder == codec
    assert cfg.train_pipeline[-2].encoder == codec
    model = MODELS.build(cfg.model)
    model.init_weights()
    data = DATASETS.build(cfg.train_dataloader.dataset)
    samples = pseudo_collate([data[index] for index in range(4)])
    fields = samples['data_samples'][0].gt_fields
    assert fields.depth_weights.any() and fields.depths.isfinite().all()
    samples = model.data_preprocessor(samples, True)
    losses, _ = model.parse_losses(model(**samples, mode='loss'))
    losses.backward()
    assert losses.isfinite()
    unused = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert not unused
    data = DATASETS.build(cfg.val_dataloader.dataset)
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = data.metainfo
    torch.nn.init.constant_(model.head.stages[0].root[-1].bias, 3.0)
    with torch.no_grad():
        results = model.eval().val_step(
            pseudo_collate([data[index] for index in range(len(data))])
        )
    for result in results:
        found = result.pred_instances
        assert len(found) and found.keypoints_3d.shape[1:] == (17, 3)
        # the pixels are those of the places in space
        pixels = project(found.keypoints_3d.astype(float), result.camera)
        np.testing.assert_allclose(pixels, found.keypoints, atol=0.1)
    coco = METRICS.build(dict(type='CocoMetric', nms_mode='none'))
    coco.dataset_meta = data.metainfo
    for one in (metric, coco):
        one.process(None, [result.to_dict() for result in results])
    numbers = metric.evaluate(len(results)) | coco.evaluate(len(results))
    assert 0 <= numbers['panoptic/PCK3D'] <= 1
    assert 0 <= numbers['coco/AP'] <= 1
