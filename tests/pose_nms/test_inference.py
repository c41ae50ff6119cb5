"""Pose NMS on what mmpose's inference functions and its inferencer return."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.registry import INFERENCERS
from mmpose.structures import PoseDataSample

from rmpe_spm.pose_nms.inference_nms import (
    PoseNMSInferencer,
    suppress_redundant_poses,
)
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS

POSE = np.random.default_rng(0).uniform(0, 100, (17, 2)).astype(np.float32)


def sample(shift, score, box_score=1.0, path='a.jpg', **fields):
    """A sample of mmpose's top-down models: one box, one pose."""
    scores = np.full((1, 17), score, dtype=np.float32)
    fields = {'keypoints_visible': scores, **fields}
    boxes = dict(
        bboxes=np.array([[0, 0, 100, 100]], dtype=np.float32) + shift,
        bbox_scores=np.array([box_score], dtype=np.float32),
    )
    one = PoseDataSample(metainfo=dict(img_path=path))
    one.gt_instances = InstanceData(**boxes)
    one.pred_instances = InstanceData(
        keypoints=POSE[None] + np.float32(shift),
        keypoint_scores=scores,
        **boxes,
        **fields,
    )
    return one


def a_crowd():
    """Two poses of one person, and then a better one of another."""
    return [sample(0, 0.6, 0.5), sample(2, 0.8, 0.25), sample(300, 0.9)]


def test_one_pose_a_person_best_first():
    merged = suppress_redundant_poses(a_crowd(), ParametricPoseNMS('paper'))
    poses = merged.pred_instances
    np.testing.assert_array_equal(
        poses.keypoints, np.stack((POSE + 300, POSE + 2))
    )
    np.testing.assert_allclose(poses.keypoint_scores[:, 0], [0.9, 0.8])
    np.testing.assert_array_equal(poses.bbox_scores, [1, 0.25])
    np.testing.assert_array_equal(poses.bboxes[:, 0], [300, 2])
    # of the persons: box score times mean joint score
    np.testing.assert_allclose(poses.scores, [0.9, 0.2])
    assert poses.keypoints.dtype == poses.keypoint_scores.dtype == np.float32
    assert len(merged.gt_instances) == 3
    assert merged.metainfo['img_path'] == 'a.jpg'


def test_poses_are_merged_where_the_rule_merges():
    merged = suppress_redundant_poses(
        a_crowd(), dict(type='ParametricPoseNMS', preset='mpii')
    )
    poses = merged.pred_instances
    # 0.6 and 0.8 weigh the poses at 0 and 2; the score is the highest
    mean = 2 * 0.8 / 1.4
    np.testing.assert_allclose(poses.keypoints[1], POSE + mean, rtol=1e-5)
    np.testing.assert_allclose(poses.keypoint_scores[1], 0.8)
    weighted = suppress_redundant_poses(
        a_crowd(), dict(type='ParametricPoseNMS', preset='coco')
    ).pred_instances
    mean_score = (0.6**2 + 0.8**2) / 1.4
    np.testing.assert_allclose(
        weighted.keypoint_scores[1], mean_score, rtol=1e-6
    )
    # what the visualizer draws by
    np.testing.assert_array_equal(
        weighted.keypoints_visible, weighted.keypoint_scores
    )


def test_predicted_visibility_stays():
    own = np.full((1, 17), 0.1, dtype=np.float32)
    crowd = [
        sample(0, 0.6, keypoints_visible=own),
        sample(2, 0.8, keypoints_visible=own * 2),
    ]
    merged = suppress_redundant_poses(crowd, ParametricPoseNMS('coco'))
    np.testing.assert_array_equal(
        merged.pred_instances.keypoints_visible, own * 2
    )


def test_a_merged_sample_and_other_rules():
    merged = suppress_redundant_poses(
        [suppress_redundant_poses(a_crowd(), ParametricPoseNMS('mpii'))],
        dict(type='NearbyJointsNMS'),
    )
    assert len(merged.pred_instances) == 2
    softened = suppress_redundant_poses(
        a_crowd(), dict(type='SoftOKSNMS', sigma=0.5, min_score=0.0)
    )
    scores = softened.pred_instances.scores
    assert len(scores) == 3 and (np.diff(scores) <= 0).all()
    assert scores[2] < 0.1 < softened.pred_instances.bbox_scores[2] * 0.6


def test_poses_without_boxes_use_their_extents():
    crowd = a_crowd()
    for each in crowd:
        del each.pred_instances.bboxes
    found = suppress_redundant_poses(crowd, ParametricPoseNMS('paper'))
    assert len(found.pred_instances) == 2
    # A smaller pose, whose extents leave no room for two pixels of shift.
    for each, shift in zip(crowd, (0, 2, 300), strict=True):
        each.pred_instances.keypoints = POSE[None] / 20 + np.float32(shift)
    found = suppress_redundant_poses(crowd, ParametricPoseNMS('paper'))
    assert len(found.pred_instances) == 3


def test_one_pose_and_none():
    alone = suppress_redundant_poses([sample(0, 0.5)], ParametricPoseNMS())
    np.testing.assert_allclose(alone.pred_instances.keypoints[0], POSE)
    dropped = suppress_redundant_poses(
        [sample(0, 0.1)], ParametricPoseNMS(score_thr=0.3)
    )
    assert dropped.pred_instances.keypoints.shape == (0, 17, 2)
    again = suppress_redundant_poses([dropped], ParametricPoseNMS())
    assert len(again.pred_instances) == 0


def test_errors_say_what_is_wrong():
    nms = ParametricPoseNMS()
    with pytest.raises(ValueError, match='no data sample'):
        suppress_redundant_poses([], nms)
    with pytest.raises(ValueError, match=r'sample 1 has no pred_instances'):
        suppress_redundant_poses([sample(0, 1.0), PoseDataSample()], nms)
    other = sample(0, 1.0, path='b.jpg')
    with pytest.raises(ValueError, match=r'one image.* a.jpg and b.jpg'):
        suppress_redundant_poses([sample(0, 1.0), other], nms)
    with pytest.raises(KeyError, match='NoSuchNMS'):
        suppress_redundant_poses(a_crowd(), dict(type='NoSuchNMS'))


def test_a_missing_joint_does_not_stretch_the_box():
    """Two people beside one another, far from the picture's corner."""
    crowd = [sample(1000, 0.9), sample(1060, 0.8)]
    for one in crowd:
        poses = one.pred_instances
        poses.keypoints[:, 0] = 0
        poses.keypoint_scores = poses.keypoint_scores.copy()
        poses.keypoint_scores[:, 0] = 0
        del poses.bboxes
    merged = suppress_redundant_poses(crowd, ParametricPoseNMS('paper'))
    assert len(merged.pred_instances) == 2


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


@pytest.fixture
def inferencer(tiny_stages):
    """Around RMPE's two-step model, with a detector that is known."""
    cfg = Config.fromfile(tiny_stages[1])
    cfg.visualizer = dict(type='PoseLocalVisualizer', name='visualizer')
    cfg.dataset_type, cfg.data_mode = 'CocoDataset', 'topdown'
    built = PoseNMSInferencer(cfg, device='cpu', det_model='whole_image')
    built.detector, built.det_cat_ids = detector, (0,)
    return built


IMAGE = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
NMS = dict(type='ParametricPoseNMS', preset='mpii', rank_by='score')


def infer(inferencer, **kwargs):
    """What it returns for one image, by default as a data sample."""
    options = dict(return_datasamples=True, nms_thr=ALL_BOXES, **kwargs)
    (result,) = inferencer(IMAGE, **options)
    return result['predictions'][0]


def test_one_pose_a_person_from_the_inferencer(inferencer):
    before = infer(inferencer).pred_instances
    np.testing.assert_allclose(before.bboxes, BOXES)
    assert 'scores' not in before
    nms = ParametricPoseNMS('mpii', rank_by='score')
    expected = nms(
        before.keypoints,
        before.keypoint_scores,
        before.bboxes,
        before.bbox_scores,
    )
    assert len(expected) == 2  # else there would be nothing to see
    after = infer(inferencer, pose_nms=NMS).pred_instances
    np.testing.assert_allclose(after.bboxes, np.array(BOXES)[expected.keep])
    np.testing.assert_allclose(after.keypoints, expected.keypoints, rtol=1e-5)
    np.testing.assert_allclose(after.scores, expected.scores)
    with pytest.raises(ValueError, match='merge_results=False'):
        infer(inferencer, pose_nms=nms, merge_results=False)
    assert INFERENCERS.get('PoseNMSInferencer') is PoseNMSInferencer


def test_predictions_are_written_and_drawn(inferencer, tmp_path):
    folder = tmp_path / 'predictions'
    (result,) = inferencer(
        IMAGE,
        nms_thr=ALL_BOXES,
        pose_nms=NMS,
        return_vis=True,
        pred_out_dir=str(folder),
    )
    (people,) = result['predictions']
    assert len(people) == 2 and len(people[0]['keypoints']) == 17
    assert result['visualization'][0].shape == IMAGE.shape
    assert len(list(folder.glob('*.json'))) == 1


def test_heatmaps_stay_as_they_were_merged(inferencer):
    merged, after = (
        infer(inferencer, draw_heatmap=True, **kwargs).pred_fields.heatmaps
        for kwargs in ({}, dict(pose_nms=NMS))
    )
    assert merged.shape == (17, 120, 200) and merged.any()
    np.testing.assert_array_equal(after, merged)
