"""Where boxes come from: files, detectors, other models, the caller."""

import json
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmdet.registry import MODELS as DETECTORS
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from rmpe_spm import ConfigError, PoseInferencer
from rmpe_spm.inference.base import GivenBoxes, clean_boxes
from rmpe_spm.inference.detections import DetectionsFile, MMDetDetector
from rmpe_spm.inference.inputs import InputStream
from rmpe_spm.poses import bboxes_around

from .conftest import NMS


def boxes_of(source, pictures):
    return [(boxes.tolist(), scores.tolist())
            for _, boxes, scores in source(pictures)]  # fmt: skip


def test_bad_boxes_are_left_out(make_picture, caplog):
    boxes = np.float32(
        [
            [1, 2, 30, 40],
            [-20, -20, 500, 500],  # reaches out on all sides
            [np.nan, 2, 30, 40],
            [1, 2, np.inf, 40],
            [30, 2, 1, 40],
            [1, 2, 1, 40],
            [96, 0, 120, 40],  # the picture is 96 pixels wide
            [-9, 0, 0, 40],
            [1, 2, 30, 40],
        ]
    )
    scores = np.float32([0.9] * 8 + [np.nan])
    picture, good, kept = clean_boxes(make_picture(), boxes, scores)
    assert good.tolist() == boxes[:2].tolist() and len(kept) == 2


@pytest.mark.parametrize(
    'given, expected',
    [
        ([], [[]]),
        (np.zeros((0, 4)), [[]]),
        ([[1, 2, 30, 40]], [[[1, 2, 30, 40]]]),
        ([[[1, 2, 30, 40]], []], [[[1, 2, 30, 40]], []]),
        ([np.zeros((0, 4)), np.float32([[1, 2, 30, 40]])],
         [[], [[1, 2, 30, 40]]]),
    ],
)  # fmt: skip
def test_given_boxes(make_picture, given, expected):
    pictures = [make_picture(index=i) for i in range(len(expected))]
    found = boxes_of(GivenBoxes(given), pictures)
    assert [boxes for boxes, _ in found] == expected


def detections(tmp_path, entries):
    path = tmp_path / 'detections.json'
    entries = [dict(category_id=1, score=0.9) | entry for entry in entries]
    path.write_text(json.dumps(entries))
    return path


FIRST, THIRD = [[1, 2, 31, 42]], [[3, 3, 13, 13]]


def test_a_detections_file(tmp_path, make_picture):
    entries = [
        dict(image_id=139, bbox=[1, 2, 30, 40]),
        dict(image_id=139, bbox=[5, 5, 20, 20], score=0.2),
        dict(image_id=7, bbox=[3, 3, 10, 10]),
        dict(image_id=139, bbox=[1, 2, 30, 40], category_id=2),
    ]
    path = detections(tmp_path, entries)
    names = ['val/000000000139.jpg', '8.jpg', '7.png']
    pictures = [make_picture(name=name) for name in names]
    found = boxes_of(DetectionsFile(path, 0.3), pictures)
    assert [boxes for boxes, _ in found] == [FIRST, [], THIRD]
    np.testing.assert_allclose(found[0][1], [0.9])
    assert len(boxes_of(DetectionsFile(path, 0.1), pictures)[0][0]) == 2
    with pytest.raises(ConfigError, match='file_name'):
        boxes_of(DetectionsFile(path, 0.3), [make_picture(name='a.jpg')])
    path.write_text('{}')
    with pytest.raises(ConfigError, match='not a list of detections'):
        DetectionsFile(path, 0.3)


def test_detections_by_name_and_frame(tmp_path, make_picture):
    entries = [
        dict(image_id=1, bbox=[1, 2, 30, 40], file_name='x/a.jpg'),
        dict(image_id=2, bbox=[3, 3, 10, 10], file_name='b.mp4', frame=4),
    ]
    source = DetectionsFile(detections(tmp_path, entries), 0.3)
    pictures = [
        make_picture(name='y/a.jpg'),
        make_picture(name='b.mp4', frame=3),
        make_picture(name='b.mp4', frame=4),
    ]
    found = [boxes for boxes, _ in boxes_of(source, pictures)]
    assert found == [FIRST, [], THIRD]


def test_poses_become_boxes(bottomup, pictures):
    inferencer = PoseInferencer(**bottomup)
    results = list(inferencer(pictures))
    found = boxes_of(inferencer.propose, InputStream(pictures))
    checked = 0
    for result, (boxes, scores) in zip(results, found, strict=True):
        tight = bboxes_around(result.keypoints, result.keypoint_scores)
        low, high = tight[:, :2], tight[:, 2:]
        sides = high - low
        if (
            (sides > 1).all()
            and (high > 0).all()
            and (low < result.size).all()
        ):
            around = np.c_[low - sides / 8, high + sides / 8]
            np.testing.assert_allclose(boxes, around, rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(scores, result.scores)
            checked += 1
    assert checked


@pytest.fixture
def detector():
    """The config of a real detector of mmdet's, for small pictures."""
    configs = Path(mmdet.__file__).parent / '.mim' / 'configs'
    cfg = Config.fromfile(configs / 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    cfg.model.backbone.init_cfg = None
    for step in cfg.test_dataloader.dataset.pipeline:
        for key in {'scale', 'size'} & set(step):
            step[key] = (96, 96)
    cfg.model.bbox_head.num_classes = 1
    cfg.model.test_cfg.score_thr = 0.0
    cfg.model.test_cfg.max_per_img = 300
    return cfg


def test_a_real_detector_with_pose_nms(detector, topdown, pictures):
    torch.manual_seed(0)
    source = MMDetDetector(detector, None, 'cpu', 0.0, 2)
    for parameter in source.model.parameters():
        parameter.data *= 0.5  # so that random layers stay finite
    found = list(source(InputStream(pictures)))
    with DefaultScope.overwrite_default_scope('mmdet'):
        expected = inference_detector(
            source.model, [picture.image for picture, _, _ in found]
        )
    for (picture, boxes, scores), sample in zip(found, expected, strict=True):
        people = sample.pred_instances.numpy()
        people = people[people.labels == 0]
        _, good, kept = clean_boxes(picture, people.bboxes, people.scores)
        np.testing.assert_allclose(boxes, good, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(scores, kept, rtol=1e-4)
    assert sum(len(boxes) for _, boxes, _ in found)
    # the parts together: its boxes, a top-down model, an NMS by a dict
    inferencer = PoseInferencer(**topdown, boxes_from=source, nms=NMS)
    results = list(inferencer(pictures))
    for (_, boxes, _), result in zip(found, results, strict=True):
        assert len(result) <= len(boxes)
        assert (len(result) > 0) == (len(boxes) > 0)


@DETECTORS.register_module(force=True)
class FakeDetector(BaseModel):
    """Finds two people and a dog at known places, where there is light."""

    def forward(self, inputs, data_samples=None, mode='predict'):
        for image, sample in zip(inputs, data_samples, strict=True):
            number = 4 if image.float().mean() > 10 else 0
            boxes = torch.tensor([[10, 5, 40, 70], [11, 6, 41, 71],
                                  [30, 20, 90, 60], [0, 0, 9, 9]])  # fmt: skip
            sample.pred_instances = InstanceData(
                bboxes=boxes[:number].float(),
                scores=torch.tensor([0.9, 0.8, 0.7, 0.1])[:number],
                labels=torch.tensor([1, 1, 0, 1])[:number],
            )
        return data_samples


@pytest.fixture
def fake_detector(tmp_path):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'ori_shape')),
    ]
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(type='FakeDetector'),
            test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    )
    path, weights = tmp_path / 'detector.py', tmp_path / 'detector.pth'
    cfg.dump(path)
    meta = dict(dataset_meta=dict(classes=('dog', 'person'), palette=[]))
    torch.save(dict(state_dict={}, meta=meta), weights)
    return path, weights


@pytest.mark.parametrize('nms', [None, NMS])
def test_a_detector_with_known_boxes(fake_detector, topdown, pictures, nms):
    dark = np.zeros((72, 96, 3), np.uint8)
    inputs = [pictures / '2.png', dark, pictures / '4.png']
    inferencer = PoseInferencer(**topdown, boxes_from=fake_detector, nms=nms)
    first, nobody, last = inferencer(inputs)
    assert nobody.keypoints.shape == (0, 17, 2)
    boxes = [[10, 5, 40, 70], [11, 6, 41, 71]]
    (plain,) = PoseInferencer(**topdown, nms=nms)(
        inputs[0], bboxes=np.c_[boxes, [0.9, 0.8]]
    )
    np.testing.assert_allclose(first.keypoints, plain.keypoints, atol=1e-3)
    np.testing.assert_allclose(first.scores, plain.scores, rtol=1e-5)
    if nms is None:
        assert first.bboxes_xyxy.tolist() == boxes
    # the caller's boxes come before the detector's
    (given,) = inferencer(inputs[0], bboxes=[[30, 20, 90, 60]])
    assert given.bboxes_xyxy.tolist() == [[30, 20, 90, 60]]


def test_a_detector_without_people(fake_detector):
    config, weights = fake_detector
    meta = dict(dataset_meta=dict(classes=('dog', 'cat'), palette=[]))
    torch.save(dict(state_dict={}, meta=meta), weights)
    with pytest.raises(ConfigError, match='no class person'):
        MMDetDetector(config, str(weights), 'cpu', 0.3, 2)
