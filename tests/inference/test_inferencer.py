"""Poses are mmpose's own, whatever the batches and the inputs are."""

import subprocess
import sys
from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.structures import InstanceData
from mmpose.apis import (
    MMPoseInferencer,
    inference_bottomup,
    inference_topdown,
    init_model,
)

from rmpe_spm import ConfigError, ParametricPoseNMS, PoseInferencer
from rmpe_spm.engine import shipped
from rmpe_spm.inference.base import body_boxes
from rmpe_spm.inference.inputs import InputStream
from rmpe_spm.inference.models import describe_models, find_model

from .conftest import NMS, random_image

BOXES = np.float32([[10, 5, 40, 70], [10, 5, 40, 70], [30, 20, 90, 60]])


def mmposes_model(kwargs):
    return init_model(str(kwargs['config']), str(kwargs['weights']), 'cpu')


def same_poses(result, expected):
    """A result against mmpose's ``pred_instances``."""
    assert result.keypoints.dtype == np.float32
    np.testing.assert_allclose(
        result.keypoints, expected.keypoints, rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(
        result.keypoint_scores, expected.keypoint_scores, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_topdown_equals_mmpose(topdown, pictures, batch_size):
    paths = sorted(pictures.iterdir())
    boxes = [BOXES[:2], BOXES[:0], BOXES, BOXES[2:], BOXES[1:]]
    inferencer = PoseInferencer(**topdown, batch_size=batch_size)
    results = list(inferencer(pictures, bboxes=boxes))
    model = mmposes_model(topdown)
    assert [result.path for result in results] == list(map(str, paths))
    for path, given, result in zip(paths, boxes, results, strict=True):
        np.testing.assert_array_equal(result.bboxes_xyxy, given)
        assert result.bboxes is result.bboxes_xyxy
        assert len(result) == len(given)
        if len(given):  # mmpose would take the whole picture
            poses = inference_topdown(model, str(path), given)
            poses = [pose.pred_instances for pose in poses]
            same_poses(result, InstanceData.cat(poses))
    assert results[1].keypoints.shape == (0, 17, 2)
    assert results[0].size == (60, 90) and results[1].size == (96, 72)


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_bottomup_equals_mmpose(bottomup, pictures, batch_size):
    inferencer = PoseInferencer(**bottomup, batch_size=batch_size)
    results = list(inferencer(pictures))
    model = mmposes_model(bottomup)
    paths = sorted(pictures.iterdir())
    assert sum(map(len, results)) > 5
    for path, result in zip(paths, results, strict=True):
        expected = inference_bottomup(model, str(path))[0].pred_instances
        same_poses(result, expected)
        np.testing.assert_allclose(
            result.scores, expected.bbox_scores, rtol=1e-4
        )
        np.testing.assert_allclose(
            result.bboxes_xyxy, expected.bboxes, rtol=1e-4, atol=1e-3
        )


def test_mmposes_dekr_goes_one_by_one(bottomup, pictures, tmp_path):
    cfg = Config.fromfile(bottomup['config'])
    codec = dict(
        type='SPR',
        input_size=(64, 64),
        heatmap_size=(16, 16),
        sigma=(2, 4),
        generate_keypoint_heatmaps=True,
    )
    head = dict(
        _delete_=True,
        type='GridSampleDEKRHead',
        in_channels=8,
        num_keypoints=17,
        num_heatmap_filters=4,
        decoder=codec,
    )
    cfg.model.merge(dict(head=head))
    inferencer = PoseInferencer(config=cfg, device='cpu', batch_size=4)
    for path, result in zip(
        sorted(pictures.iterdir()), inferencer(pictures), strict=True
    ):
        (expected,) = inference_bottomup(inferencer.model, str(path))
        expected = expected.pred_instances
        # random weights give people scores below 0 too
        found = expected.keypoint_scores.mean(axis=1) >= 0
        same_poses(result, expected[found])


def test_a_person_scores_box_times_joints(topdown, pictures):
    """And a config that is given is not changed."""
    path, cfg = pictures / '1.png', Config.fromfile(topdown['config'])
    boxes, before = np.c_[BOXES, [0.5, 0.25, 1]], deepcopy(cfg).to_dict()
    inferencer = PoseInferencer(**dict(topdown, config=cfg))
    (result,) = inferencer(path, bboxes=boxes)
    assert cfg.to_dict() == before
    np.testing.assert_allclose(
        result.scores,
        [0.5, 0.25, 1] * result.keypoint_scores.mean(1),
        rtol=1e-5,
    )


def test_results_come_as_they_are_taken(bottomup, pictures):
    images = [cv2.imread(str(path)) for path in sorted(pictures.iterdir())]
    taken = []

    def camera():
        while True:
            taken.append(images[len(taken) % 2 * 2])
            yield taken[-1]

    results = PoseInferencer(**bottomup, batch_size=2)(camera())
    assert not taken  # nothing is read before somebody asks
    for _ in range(3):
        next(results)
    results.close()
    assert len(taken) < 16


def test_what_is_skipped_is_known(bottomup, pictures, topdown):
    (pictures / '0.png').write_bytes(b'')
    stream = InputStream([pictures / '0.png', pictures / '1.png'])
    (result,) = PoseInferencer(**bottomup)(stream)
    assert result.path.endswith('1.png') and len(stream.skipped) == 1
    # boxes belong to the inputs, those that cannot be read too
    (result,) = PoseInferencer(**topdown)(
        [pictures / '0.png', pictures / '1.png'], bboxes=[BOXES[:1], BOXES]
    )
    assert len(result) == 3


@pytest.mark.parametrize('size', [(1, 1), (1, 300), (8000, 8)])
def test_pictures_of_odd_sizes(bottomup, topdown, size):
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    (result,) = PoseInferencer(**bottomup)(image)
    assert result.size == size
    boxes = [[0, 0, *size]]
    (result,) = PoseInferencer(**topdown)(image, bboxes=boxes)
    assert np.isfinite(result.keypoints).all() and len(result) == 1


@pytest.mark.parametrize('scope', ['mmpose', 'mmdet', 'mmengine'])
def test_pose_nms_by_a_dict_in_every_scope(topdown, pictures, scope):
    path = pictures / '1.png'
    (plain,) = PoseInferencer(**topdown)(path, bboxes=BOXES)
    expected = ParametricPoseNMS('mpii', rank_by='score')(
        plain.keypoints, plain.keypoint_scores, BOXES, np.ones(3)
    )
    assert len(expected) < 3
    with DefaultScope.overwrite_default_scope(scope):
        inferencer = PoseInferencer(**topdown, nms=NMS)
        (result,) = inferencer(path, bboxes=BOXES)
        assert DefaultScope.get_current_instance().scope_name == scope
    np.testing.assert_allclose(result.keypoints, expected.keypoints, rtol=1e-5)
    np.testing.assert_allclose(result.scores, expected.scores, rtol=1e-6)
    np.testing.assert_array_equal(result.bboxes_xyxy, BOXES[expected.keep])
    # nobody stays nobody
    (result,) = inferencer(path, bboxes=[])
    assert result.keypoints.shape == (0, 17, 2)


def test_the_default_scope_may_change_between_results(bottomup, pictures):
    expected = [r.keypoints for r in PoseInferencer(**bottomup)(pictures)]
    found = []
    try:
        for result in PoseInferencer(**bottomup, batch_size=1)(pictures):
            found.append(result.keypoints)
            init_default_scope('mmdet')
    finally:
        init_default_scope('mmpose')
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-3)


@pytest.fixture
def shipped_models(bottomup, topdown, tmp_path, monkeypatch):
    """Tiny models in the place of those that ship."""
    monkeypatch.setattr(shipped, 'WEIGHTS', tmp_path)
    for alias, model in (('spm', bottomup), ('rmpe', topdown)):
        checkpoint = torch.load(model['weights'], weights_only=True)
        config = Config.fromfile(model['config'])
        published = shipped.publish(checkpoint, config)
        torch.save(published, tmp_path / f'{shipped.ALIASES[alias]}.pth')


def test_shipped_models_go_by_name(shipped_models, topdown, pictures):
    spm, rmpe = find_model('spm').score_thr, find_model('rmpe').score_thr
    assert min(spm, rmpe) > 0
    (everybody,) = PoseInferencer('spm', score_thr=0)(pictures / '1.png')
    (sure,) = PoseInferencer('spm', device='cpu')(pictures / '1.png')
    assert len(sure) == (everybody.scores >= spm).sum()
    proposed = everybody.above(0.05)
    inferencer = PoseInferencer('rmpe', device='cpu')
    (result,) = inferencer(pictures / '1.png')
    assert len(result) <= len(proposed)
    assert (result.scores >= rmpe).all()
    assert isinstance(inferencer.nms, ParametricPoseNMS)
    with pytest.raises(ConfigError, match="'smp'.*rmpe.*config and weights"):
        PoseInferencer('smp')
    # any top-down model has the shipped one's people by default
    (found,) = PoseInferencer(**topdown)(pictures / '1.png')
    assert len(found) == len(proposed)


@pytest.mark.parametrize('name', ['spm', 'rmpe'])
def test_mmposes_inferencer_takes_the_aliases(name):
    """The picture is its own box there."""
    picture = random_image(size=(96, 128))
    theirs = MMPoseInferencer(name, device='cpu', det_model='whole_image')
    (expected,) = theirs(picture, return_datasamples=True)
    expected = expected['predictions'][0].pred_instances
    ours = PoseInferencer(name, device='cpu', score_thr=0)
    ours.nms = None
    ours.model.to(memory_format=torch.contiguous_format)  # rounds as theirs
    (result,) = ours(picture, None if name == 'spm' else [[0, 0, 96, 128]])
    assert len(result)
    same_poses(result, expected)
    with pytest.raises(ValueError, match='Cannot find model: nobody'):
        # its own aliases are looked up
        MMPoseInferencer('nobody', device='cpu')


def test_shipped_models_are_described(shipped_models):
    lines = describe_models().splitlines()
    assert len(lines) == 2
    words = sorted(line.split()[0] for line in lines)
    assert words == ['rmpe', 'spm']
    assert any('all people at once, SPMHead' in line for line in lines)
    assert any('a crop of 48x64, TopdownPose' in line for line in lines)


def test_a_second_pass_is_one_in_boxes_around_the_first(topdown, pictures):
    path = pictures / '2.png'
    first = PoseInferencer(**topdown)
    boxes = np.c_[BOXES, [0.5, 0.25, 1]]
    (poses,) = first(path, bboxes=boxes)
    around = np.c_[
        body_boxes(poses.keypoints, poses.keypoint_scores), boxes[:, 4]
    ]
    (expected,) = first(path, bboxes=around)
    (found,) = PoseInferencer(**topdown, second_pass=True)(path, bboxes=boxes)
    for field in ('keypoints', 'scores', 'bboxes_xyxy'):
        np.testing.assert_allclose(
            getattr(found, field), getattr(expected, field), rtol=1e-5
        )
    (nobody,) = PoseInferencer(**topdown, second_pass=True)(path, bboxes=[])
    assert nobody.keypoints.shape == (0, 17, 2)


def test_files_of_a_call(bottomup, pictures, tmp_path, write_video):
    write_video(pictures / 'video.avi', 3)
    inferencer = PoseInferencer(**bottomup)
    results = inferencer(
        pictures, vis_out_dir=tmp_path / 'vis', pred_out_dir=tmp_path / 'pred'
    )
    assert [result.fps for result in results] == [None] * 5 + [10] * 3
    names = {str(i) for i in range(1, 6)} | {'video'}
    assert {path.stem for path in (tmp_path / 'pred').iterdir()} == names
    assert {path.stem for path in (tmp_path / 'vis').iterdir()} == names
    video = cv2.VideoCapture(str(tmp_path / 'vis' / 'video.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    # who takes one result only has it in the files
    (tmp_path / 'file').write_text('')
    results = inferencer(pictures, pred_out_dir=tmp_path / 'one')
    next(results)
    results.close()
    assert (tmp_path / 'one' / '1.json').exists()
    with pytest.raises(ConfigError, match='cannot write'):
        list(inferencer(pictures, pred_out_dir=tmp_path / 'file'))


def test_show(bottomup, pictures, monkeypatch):
    shown = []
    keys = iter([ord('x'), 27])
    monkeypatch.setattr(cv2, 'imshow', lambda name, image: shown.append(image))
    monkeypatch.setattr(cv2, 'waitKey', lambda delay: next(keys))
    monkeypatch.setattr(cv2, 'destroyAllWindows', lambda: None)
    results = list(PoseInferencer(**bottomup)(pictures, show=True))
    assert len(results) == 2 and shown[1].shape == (72, 96, 3)

    def fail(*args):
        raise cv2.error('no window')

    monkeypatch.setattr(cv2, 'imshow', fail)
    with pytest.raises(ConfigError, match='vis_out_dir'):
        list(PoseInferencer(**bottomup)(pictures, show=True))


def test_wrong_settings(topdown, bottomup, pictures, tmp_path):
    path = pictures / '1.png'

    def refused(pattern, bboxes=BOXES, **kwargs):
        with pytest.raises(ConfigError, match=pattern):
            list(PoseInferencer(**kwargs)(path, bboxes))

    refused('either a model by name', **topdown, model='spm')
    refused('either a model by name')
    refused('second_pass', **bottomup, second_pass=True)
    refused('batch_size', **topdown, batch_size=0)
    animals = Config.fromfile(topdown['config'])
    animals.train_dataloader.dataset.type = 'AP10KDataset'
    refused('needs boxes', bboxes=None, config=animals)
    refused('finds people by itself', **bottomup)
    refused(
        'finds people by itself', bboxes=None, **bottomup, boxes_from='a.json'
    )
    refused('does not exist', config=tmp_path / 'none.py')
    refused('does not fit|lacks',
            **dict(bottomup, config=topdown['config']))  # fmt: skip
    refused('no weights', bboxes=None, **topdown, boxes_from='none')
    refused('does not exist', bboxes=None, **topdown, boxes_from='none.py')
    refused('shape', bboxes=[[1, 2, 3]], **topdown)
    with pytest.raises(ConfigError, match='boxes of 1 pictures'):
        list(PoseInferencer(**topdown)(pictures, bboxes=BOXES))


FRAMES = """
import os, sys, cv2, numpy as np
from rmpe_spm import PoseInferencer

path, *models = sys.argv[1:]
video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 25, (160, 120))
for i in range(3000):
    video.write(np.full((120, 160, 3), i % 250, np.uint8))
video.release()

def memory():
    pages = int(open('/proc/self/statm').read().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6

for config, weights, boxes in zip(
    models[::2], models[1::2], [None, [[[10, 10, 90, 110]]] * 3000]
):
    inferencer = PoseInferencer(config=config, weights=weights, device='cpu')
    for result in inferencer(path, boxes):
        if result.frame == 200:
            before = memory()
    print('grown:', result.frame, memory() - before)
"""


def test_memory_does_not_grow_with_a_video(topdown, bottomup, tmp_path):
    models = [str(each[key]) for each in (bottomup, topdown)
              for key in ('config', 'weights')]  # fmt: skip
    done = subprocess.run(
        [sys.executable, '-c', FRAMES, str(tmp_path / 'a.avi'), *models],
        check=True, capture_output=True, text=True)  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines()]
    grown = [line for line in lines if line[0] == 'grown:']
    assert len(grown) == 2
    for _, last, growth in grown:
        assert int(last) == 2999  # the last frames arrive
        assert float(growth) < 50
