"""What every pose NMS has: the call, batches, images kept apart, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import TASK_UTILS
from redundant_poses import people

from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import PRESETS

KINDS = ['ParametricPoseNMS', 'OKSNMS', 'SoftOKSNMS', 'NearbyJointsNMS']


def build_nms(kind, num_joints=17, **cfg):
    cfg = dict(type=kind, **cfg)
    if 'OKS' in kind:
        cfg['sigmas'] = [0.05] * num_joints
    if kind == 'SoftOKSNMS':
        # so that it drops the second of a pair
        cfg.setdefault('min_score', 0.5)
    return TASK_UTILS.build(cfg)


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    count=st.integers(0, 8),
    num_joints=st.sampled_from([1, 2, 17]),
    bad=st.sampled_from([None, 0.0, np.nan]),
    preset=st.sampled_from(list(PRESETS)),
)
def test_every_nms_keeps_a_subset(kind, seed, count, num_joints, bad, preset):
    """Without regard to the order, and what is kept stays kept."""
    options = dict(
        ParametricPoseNMS=dict(preset=preset, merge=None),
        SoftOKSNMS=dict(min_score=0.001),
    )
    nms = build_nms(kind, num_joints, **options.get(kind, {}))
    rng = np.random.default_rng(seed)
    people = rng.uniform(0, 100, (3, num_joints, 2))
    kpts = people[rng.integers(0, 3, count)]
    kpts += rng.normal(0, 1, kpts.shape)
    joint_scores = rng.uniform(0.1, 1, (count, num_joints))
    boxes = np.tile([0.0, 0, 100, 100], (count, 1))
    box_scores = rng.uniform(0.1, 1, count)
    if bad is not None:
        joint_scores[:1] = box_scores[:1] = bad
    arrays = (kpts, joint_scores, boxes, box_scores)
    result = nms(*arrays)
    keep = result.keep
    members = [pose for cluster in result.clusters for pose in cluster]
    assert len(set(members)) == len(members)
    assert 'Soft' in kind or len(members) == count
    assert [cluster[0] for cluster in result.clusters] == keep.tolist()
    assert (np.diff(result.scores) <= 0).all()
    assert set(keep.tolist()) <= set(range(count))
    # soft NMS drops persons without a score, the others keep one of any
    kept = count - (bad is not None) if kind == 'SoftOKSNMS' else count
    assert (len(keep) > 0) == (kept > 0)
    order = rng.permutation(count)
    permuted = nms(*(array[order] for array in arrays))
    np.testing.assert_array_equal(order[permuted.keep], keep)
    for one, other in zip(permuted.clusters, result.clusters, strict=True):
        assert order[one].tolist() == other.tolist()
    if kind != 'SoftOKSNMS':  # decayed scores do not go in again
        again = nms(*(array[keep] for array in arrays)).keep
        assert again.tolist() == list(range(len(keep)))


def two_alike(num_joints=17):
    """Two poses that are nearly the same and one that is far away."""
    pose = np.random.default_rng(0).uniform(0, 100, (num_joints, 2))
    kpts = np.stack((pose, pose + 0.1, pose + 500))
    scores = np.array([[0.9], [0.8], [0.7]]).repeat(num_joints, 1)
    boxes = np.array([[0.0, 0, 100, 100]] * 2 + [[500, 500, 600, 600]])
    return kpts, scores, boxes


@pytest.mark.parametrize('make', [np.asarray, torch.from_numpy])
@pytest.mark.parametrize('kind', KINDS)
def test_no_pose_one_pose_and_two_alike(kind, make):
    arrays = [make(array) for array in two_alike()]
    nms = build_nms(kind)
    nothing = nms(*(a[:0] for a in arrays))
    assert len(nothing) == 0 and nothing.clusters == []
    assert nothing.keypoints.shape == (0, 17, 2)
    assert nothing.keypoint_scores.shape == (0, 17)
    assert nothing.scores.shape == (0,)
    alone = nms(*(a[1:2] for a in arrays))
    assert alone.keep.tolist() == [0]
    assert [c.tolist() for c in alone.clusters] == [[0]]
    np.testing.assert_array_equal(alone.keypoints, arrays[0][1:2])
    assert alone.scores.tolist() == pytest.approx([0.8])
    assert nms(*arrays).keep.tolist() == [0, 2]
    assert nms.batch([], [], []) == []


@pytest.mark.parametrize('kind', KINDS)
def test_a_batch_is_its_images_one_by_one(kind):
    images = [people(i, n, 3) for i, n in enumerate((0, 1, 4, 9))]
    nms = build_nms(kind)
    results = nms.batch(*zip(*images, strict=True))
    for result, image in zip(results, images, strict=True):
        expected = nms(*image)
        assert result.keep.tolist() == expected.keep.tolist()
        np.testing.assert_array_equal(result.scores, expected.scores)


@pytest.mark.parametrize('kind', KINDS[:3])
def test_one_joint(kind):
    """NearbyJointsNMS needs a diagonal, which one joint does not have."""
    nms = build_nms(kind, 1)
    assert nms(*two_alike(1)).keep.tolist() == [0, 2]


@pytest.mark.parametrize('kind', KINDS)
def test_missing_joints(kind):
    kpts, scores, boxes = two_alike()
    nms = build_nms(kind)
    kpts[0, 3] = np.nan
    result = nms(kpts, scores, boxes)
    assert result.keep.tolist() == [0, 2]
    # A pose without any is nobody's twin, and the last of all.
    kpts[0] = np.nan
    result = nms(kpts, scores, boxes)
    kept = [1, 2] if kind == 'SoftOKSNMS' else [1, 2, 0]
    assert result.keep.tolist() == kept
    assert result.scores[:2].tolist() == pytest.approx([0.8, 0.7])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    'box',
    [
        [50, 50, 50, 50],
        [100, 100, 0, 0],
        [np.nan, 0, 100, 100],
        [0, 0, np.inf, 100],
    ],
)
def test_boxes_without_a_size(kind, box):
    """The poses are 0.14 pixels apart: less than the pixel that is left.

    Rules that use OKS have no area then, and take nobody for another.
    """
    kpts, scores, boxes = two_alike()
    boxes[:2] = box
    result = build_nms(kind)(kpts, scores, boxes)
    assert result.keep.tolist() == ([0, 1, 2] if 'OKS' in kind else [0, 2])
    assert np.isfinite(result.scores).all()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_given_scores_that_are_no_numbers(kind, bad):
    """They count as 0, here the lowest."""
    kpts, joint_scores, boxes = two_alike()
    scores = np.array([bad, 0.6, 0.7])
    nms = build_nms(kind)
    result = nms(kpts, joint_scores, boxes, scores=scores)
    if kind == 'ParametricPoseNMS':  # ranked by the joints
        assert result.keep.tolist() == [2, 0]
        assert result.scores.tolist() == [0.7, 0.0]
    else:
        assert result.keep.tolist() == [2, 1]
        assert result.scores.tolist() == [0.7, 0.6]


@pytest.mark.parametrize(
    'change,message',
    [
        (dict(keypoints=np.zeros((3, 17, 3))), r'\(3, 17, 2\).*17, 3\)'),
        (dict(keypoints=np.zeros((3, 4))), r'keypoints of image 0 must'),
        (dict(keypoint_scores=np.zeros((3, 16))), r'\(3, 17\).*\(3, 16\)'),
        (dict(bboxes_xyxy=np.zeros((2, 4))), r'\(3, 4\).*\(2, 4\)'),
        (dict(bbox_scores=np.zeros((3, 1))), r'\(3,\).*\(3, 1\)'),
        (dict(scores=np.zeros(4)), r'\(3,\).*\(4,\)'),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    good = dict(
        keypoints=np.zeros((3, 17, 2)),
        keypoint_scores=np.zeros((3, 17)),
        bboxes_xyxy=np.zeros((3, 4)),
    )
    with pytest.raises(ValueError, match=message):
        ParametricPoseNMS()(**{**good, **change})


def test_images_that_do_not_fit_one_another():
    nms = ParametricPoseNMS()
    a, b = two_alike(17), two_alike(16)
    with pytest.raises(ValueError, match='must match exactly'):
        nms.batch(*zip(a, b, strict=True))
    with pytest.raises(ValueError, match='2 images have keypoints, 1 bboxes'):
        nms.batch([a[0], a[0]], [a[1], a[1]], [a[2]])
    with pytest.raises(ValueError, match='of image 1'):
        nms.batch([a[0], a[0]], [a[1], a[1]], [a[2], a[2][:1]])


@pytest.mark.parametrize('kind', KINDS)
def test_half_precision_and_huge_scores_stay_finite(kind):
    kpts, scores, boxes = two_alike()
    nms = build_nms(kind)
    for keypoint_scores in (scores.astype(np.float16), scores + 1e30):
        result = nms(kpts.astype(np.float16), keypoint_scores, boxes)
        assert np.isfinite(result.scores).all()
        assert np.isfinite(result.keypoints).all()
        assert {0, 2} <= set(result.keep.tolist())
