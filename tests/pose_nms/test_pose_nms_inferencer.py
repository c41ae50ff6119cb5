"""mmpose's inferencer on redundant boxes, with and without pose NMS."""

import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.registry import INFERENCERS
from mmpose.structures import PoseDataSample

from rmpe_spm.pose_nms.inference_nms import PoseNMSInferencer
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS

CONFIG = """
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
default_scope = 'mmpose'
dataset_type, data_mode = 'CocoDataset', 'topdown'
codec = dict(
    type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1)
model = dict(
    type='ParallelSPPE',
    sppe=dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(type='PoseDataPreprocessor'),
        backbone=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7, )),
        head=dict(
            type='HeatmapHead',
            in_channels=1280,
            out_channels=17,
            deconv_out_channels=(4, 4, 4),
            deconv_kernel_sizes=(4, 4, 4),
            decoder=codec)),
    localizer=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7, )),
    sstn=dict(type='SSTNHead', in_channels=1280, transform='scale_shift'),
    parallel=dict())
dataset = dict(
    type=dataset_type,
    data_mode=data_mode,
    pipeline=[
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(48, 64)),
        dict(type='PackPoseInputs')])
train_dataloader = test_dataloader = dict(dataset=dataset)
visualizer = dict(type='PoseLocalVisualizer', name='visualizer')
"""
# A box that comes twice gives the same pose twice, whatever the weights are.
BOXES = [[10, 10, 60, 100], [10, 10, 60, 100], [110, 20, 160, 90]]
# mmpose's NMS of boxes, which would take one of them away, is off.
ALL_BOXES = 1.1
SCORES = [0.9, 0.8, 0.5]


def detector(image, return_datasamples):
    """A box of one person, twice, and one of another."""
    sample = PoseDataSample()
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor(BOXES, dtype=torch.float32),
        scores=torch.tensor(SCORES),
        labels=torch.zeros(3, dtype=torch.long),
    )
    return dict(predictions=[sample])


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('inferencer') / 'config.py'
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture(scope='module')
def inferencer(config):
    built = PoseNMSInferencer(config, device='cpu', det_model='whole_image')
    built.detector, built.det_cat_ids = detector, (0,)
    return built


def infer(inferencer, **kwargs):
    """The poses of one image, as a data sample."""
    image = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
    (result,) = inferencer(
        image, return_datasamples=True, nms_thr=ALL_BOXES, **kwargs
    )
    return result['predictions'][0].pred_instances


def test_without_it_everything_is_mmposes(inferencer):
    poses = infer(inferencer)
    np.testing.assert_allclose(poses.bboxes, BOXES)
    assert 'scores' not in poses


def test_one_pose_a_person(inferencer):
    before = infer(inferencer)
    nms = ParametricPoseNMS('mpii', rank_by='score')
    expected = nms(
        before.keypoints,
        before.keypoint_scores,
        before.bboxes,
        before.bbox_scores,
    )
    assert len(expected) == 2  # else there would be nothing to see
    after = infer(
        inferencer,
        pose_nms=dict(
            type='ParametricPoseNMS', preset='mpii', rank_by='score'
        ),
    )
    np.testing.assert_allclose(after.bboxes, np.array(BOXES)[expected.keep])
    np.testing.assert_allclose(after.keypoints, expected.keypoints, rtol=1e-5)
    np.testing.assert_allclose(after.scores, expected.scores)


def test_predictions_are_written_and_drawn(inferencer, tmp_path):
    image = np.zeros((120, 200, 3), np.uint8)
    (result,) = inferencer(
        image,
        nms_thr=ALL_BOXES,
        pose_nms=ParametricPoseNMS('mpii', rank_by='score'),
        return_vis=True,
        pred_out_dir=str(tmp_path),
    )
    (people,) = result['predictions']
    assert len(people) == 2 and len(people[0]['keypoints']) == 17
    assert result['visualization'][0].shape == image.shape
    assert len(list(tmp_path.glob('*.json'))) == 1


def test_heatmaps_stay_as_they_were_merged(inferencer):
    image = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)

    def heatmaps(**kwargs):
        (result,) = inferencer(
            image,
            return_datasamples=True,
            nms_thr=ALL_BOXES,
            draw_heatmap=True,
            **kwargs,
        )
        return result['predictions'][0].pred_fields.heatmaps

    merged = heatmaps()
    assert merged.shape == (17, 120, 200) and merged.any()
    nms = ParametricPoseNMS('mpii', rank_by='score')
    np.testing.assert_array_equal(heatmaps(pose_nms=nms), merged)


def test_poses_apart_are_refused(inferencer):
    with pytest.raises(ValueError, match='merge_results=False'):
        infer(inferencer, pose_nms=ParametricPoseNMS(), merge_results=False)


def test_it_is_in_the_registry():
    assert INFERENCERS.get('PoseNMSInferencer') is PoseNMSInferencer


def test_the_examples_of_the_docs_run(config, repo_root, tmp_path, capsys):
    text = (repo_root / 'docs' / 'pose_nms.md').read_text(encoding='utf-8')
    snippets = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    topdown, called = (code for code in snippets if 'checkpoint' in code)
    picture = str(tmp_path / 'picture.jpg')
    cv2.imwrite(picture, np.zeros((120, 200, 3), np.uint8))
    names = dict(
        config=config,
        checkpoint=None,
        picture=picture,
        boxes=np.array([BOXES[0], BOXES[0], BOXES[2]], dtype=np.float32),
        detector='whole_image',
        detector_checkpoint=None,
    )
    exec(topdown, names)
    assert len(names['samples']) == 3
    assert len(names['people']) == 2
    exec(called, names)
    assert capsys.readouterr().out.split('\n')[-3:] == [
        '(2, 17, 2) (2,)',
        '1',
        '',
    ]
