"""The component: inputs, results, merging and properties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpose.registry import TASK_UTILS

from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import PRESETS, make_rule, save_rule


def people(seed, count, copies, num_joints=17, dtype=np.float32):
    """People with redundant poses: keypoints, scores, boxes, box scores."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(20, 200, (count, 1, 1))
    base = rng.uniform(0, 400, (count, 1, 2))
    base = base + rng.uniform(-0.5, 0.5, (count, num_joints, 2)) * height
    kpts = np.repeat(base, copies, 0)
    kpts += rng.normal(size=kpts.shape) * 0.03 * height.repeat(copies, 0)
    scores = rng.uniform(0.1, 1, kpts.shape[:2])
    boxes = np.concatenate([kpts.min(1), kpts.max(1)], 1)
    arrays = kpts, scores, boxes, rng.uniform(0.1, 1, len(kpts))
    return tuple(array.astype(dtype) for array in arrays)


def same(result, expected):
    """Equal in every field, to the last bit."""
    assert result.keep.tolist() == expected.keep.tolist()
    assert [c.tolist() for c in result.clusters] == [
        c.tolist() for c in expected.clusters
    ]
    for name in ('keypoints', 'keypoint_scores', 'scores'):
        np.testing.assert_array_equal(
            np.asarray(getattr(result, name)),
            np.asarray(getattr(expected, name)),
        )


def test_two_people_by_hand():
    """Poses 0, 2 are one person, 1, 3 another; 2 and 1 are the best."""
    kpts = np.zeros((4, 2, 2))
    kpts[:, 1] = [10, 20]
    kpts[[1, 3]] += 200
    kpts[0] += [4, 0]
    kpts[3, 0] += [0, 50]
    scores = np.array([[0.2, 0.4], [0.9, 0.8], [0.8, 0.4], [0.6, 0.2]])
    boxes = np.tile([0.0, 0.0, 100.0, 100.0], (4, 1))
    nms = ParametricPoseNMS(
        sigma1=1.0, sigma2=100.0, lambda_=1.0, eta=1.0, preset='coco'
    )
    assert nms.rule.merge == 'weighted'
    result = nms(kpts, scores, boxes)
    assert result.keep.tolist() == [1, 2]
    assert [c.tolist() for c in result.clusters] == [[1, 3], [2, 0]]
    # person 1: joint 0 of pose 3 is too far away to be merged
    np.testing.assert_allclose(result.keypoints[0], kpts[1])
    np.testing.assert_allclose(
        result.keypoint_scores[0], [0.9, (0.64 + 0.04) / (0.8 + 0.2)]
    )
    np.testing.assert_allclose(
        result.keypoints[1], [[0.8, 0], [10 + 4 * 0.4 / 0.8, 20]]
    )
    np.testing.assert_allclose(
        result.keypoint_scores[1], [(0.64 + 0.04) / (0.8 + 0.2), 0.4]
    )
    np.testing.assert_allclose(result.scores, result.keypoint_scores.mean(1))

    nms = ParametricPoseNMS(
        'mpii', sigma2=100.0, lambda_=1.0, eta=1.0, merge=None
    )
    unmerged = nms(kpts, scores, boxes, bbox_scores=np.array([1, 0.5, 1, 1]))
    # the order of elimination is the joints', the result's the persons'
    assert unmerged.keep.tolist() == [2, 1]
    assert [c.tolist() for c in unmerged.clusters] == [[2, 0], [1, 3]]
    np.testing.assert_array_equal(unmerged.keypoints, kpts[[2, 1]])
    np.testing.assert_allclose(unmerged.scores, [0.6, 0.5 * 0.85])


def test_merge_by_the_highest_score():
    kpts = np.array([[[0.0, 0.0]], [[6.0, 0.0]], [[9.0, 0.0]]])
    scores = np.array([[0.5], [0.25], [0.4]])
    boxes = np.tile([0.0, 0.0, 80.0, 40.0], (3, 1))
    nms = ParametricPoseNMS('mpii', eta=0.5)
    result = nms(kpts, scores, boxes)
    assert result.clusters[0].tolist() == [0, 2, 1]
    # 9 px is beyond the 8 px of the box
    np.testing.assert_allclose(result.keypoints, [[[6 * 0.25 / 0.75, 0]]])
    assert result.keypoint_scores.tolist() == [[0.5]]
    capped = ParametricPoseNMS('mpii', eta=0.5, merge_cap=5.0)
    assert capped(kpts, scores, boxes).keypoints.tolist() == [[[0, 0]]]


def test_ranking_by_person_or_by_joints():
    kpts = np.zeros((2, 5, 2)) + np.arange(5)[:, None]
    scores = np.full((2, 5), 0.5)
    scores[0] = 0.6
    boxes = np.tile([0.0, 0.0, 50.0, 50.0], (2, 1))
    args = kpts, scores, boxes, np.array([0.1, 0.9])
    by_joints = ParametricPoseNMS('mpii', merge=None)(*args)
    assert by_joints.keep.tolist() == [0]
    by_person = ParametricPoseNMS('mpii', merge=None, rank_by='score')
    assert by_person(*args).keep.tolist() == [1]
    given_scores = by_person(*args, scores=np.array([3.0, 2.0]))
    assert given_scores.keep.tolist() == [0]
    assert given_scores.scores.tolist() == [3.0]


def test_low_scores_can_be_dropped():
    kpts = np.zeros((3, 4, 2)) + np.arange(3)[:, None, None] * 500.0
    scores = np.array([[0.1, 0.2, 0, 0], [0.1, 0.3, 0, 0], [0, 0, 0, 0]])
    boxes = np.tile([0.0, 0.0, 50.0, 50.0], (3, 1))
    assert len(ParametricPoseNMS('coco')(kpts, scores, boxes)) == 3
    nms = ParametricPoseNMS('coco', score_thr=0.3)
    result = nms(kpts, scores, boxes)
    assert result.keep.tolist() == [1]
    assert [c.tolist() for c in result.clusters] == [[1]]
    assert result.keypoints.shape == (1, 4, 2)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 6),
    copies=st.integers(1, 4),
    num_joints=st.integers(1, 17),
    preset=st.sampled_from(list(PRESETS)),
)
def test_properties(seed, count, copies, num_joints, preset):
    """Clusters part the input; neither its order nor a second time matter."""
    arrays = people(seed, count, copies, num_joints)
    nms = ParametricPoseNMS(preset)
    result = nms(*arrays)
    kpts, scores = arrays[:2]
    assert sorted(np.concatenate(result.clusters)) == list(range(len(kpts)))
    assert [cluster[0] for cluster in result.clusters] == result.keep.tolist()
    assert (np.diff(result.scores) <= 0).all()
    means = scores.astype(np.float64).mean(1)
    for cluster in result.clusters:
        assert (np.diff(means[cluster]) <= 0).all()
    alone = [i for i, c in enumerate(result.clusters) if len(c) == 1]
    np.testing.assert_array_equal(
        result.keypoints[alone], kpts[result.keep[alone]]
    )
    order = np.random.default_rng(seed).permutation(len(kpts))
    permuted = nms(*(array[order] for array in arrays))
    permuted.keep = order[permuted.keep]
    permuted.clusters = [order[cluster] for cluster in permuted.clusters]
    same(permuted, result)
    nms = ParametricPoseNMS(preset, merge=None)
    keep = nms(*arrays).keep
    again = nms(*(array[keep] for array in arrays))
    assert again.keep.tolist() == list(range(len(keep)))


def test_equal_scores_keep_the_input_order():
    kpts, scores, boxes, _ = people(0, 1, 5)
    kpts = kpts[[0]].repeat(5, 0)
    result = ParametricPoseNMS('coco')(kpts, scores * 0 + 0.5, boxes)
    assert [c.tolist() for c in result.clusters] == [[0, 1, 2, 3, 4]]
    far = kpts + np.arange(5)[::-1, None, None] * 1000
    result = ParametricPoseNMS('coco')(far, scores * 0 + 0.5, boxes)
    assert result.keep.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('preset', list(PRESETS))
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_tensors_and_batches_equal_single_arrays(preset, dtype):
    nms = ParametricPoseNMS(preset)
    images = [people(i, i, 1 + i % 3, dtype=dtype) for i in range(6)]
    single = [nms(*image) for image in images]
    assert single[3].keypoints.dtype == dtype
    assert single[3].scores.dtype == dtype
    for result, expected in zip(
        nms.batch(*zip(*images, strict=True)), single, strict=True
    ):
        same(result, expected)
    tensors = [tuple(map(torch.from_numpy, image)) for image in images]
    for result, image, expected in zip(
        nms.batch(*zip(*tensors, strict=True)), tensors, single, strict=True
    ):
        assert result.keypoints.dtype == image[0].dtype
        assert result.keep.dtype == torch.int64
        assert all(c.dtype == torch.int64 for c in result.clusters)
        same(result, expected)
        same(nms(*image), expected)
    stacked = [np.stack([images[2][i], images[2][i]]) for i in range(4)]
    for result in nms.batch(*stacked):
        same(result, single[2])
    for result in nms.batch(*map(torch.from_numpy, stacked)):
        same(result, single[2])


@pytest.mark.parametrize('bad', [0.0, np.nan, -1.0, np.inf])
def test_scores_that_say_nothing(bad):
    kpts, scores, boxes, box_scores = people(0, 2, 2)
    scores[1] = bad
    box_scores[1] = bad
    result = ParametricPoseNMS('mpii')(kpts, scores, boxes, box_scores)
    assert len(result) == 2
    assert [0, 1] in [c.tolist() for c in result.clusters]
    assert np.isfinite(result.scores).all()
    assert np.isfinite(result.keypoint_scores).all()
    # joints of which nothing is known but where they are: only the distance
    # speaks, and for identical poses it is enough
    twice = kpts[[0, 0]]
    result = ParametricPoseNMS('mpii')(twice, scores[[1, 1]], boxes[[0, 0]])
    assert [c.tolist() for c in result.clusters] == [[0, 1]]
    np.testing.assert_allclose(result.keypoints, kpts[[0]])
    assert result.scores.tolist() == [0.0]


def test_joint_that_only_some_poses_have():
    kpts, scores, boxes, _ = people(0, 1, 3)
    kpts[:] = kpts[0]
    scores[:] = np.array([[0.9], [0.5], [0.4]])
    kpts[0, 3] = np.nan
    kpts[1, 5] = np.nan
    result = ParametricPoseNMS('coco')(kpts, scores, boxes)
    assert [c.tolist() for c in result.clusters] == [[0, 1, 2]]
    assert np.isnan(result.keypoints[0, 3]).all()
    assert result.keypoint_scores[0, 3] == 0
    others = np.delete(np.arange(17), 3)
    np.testing.assert_allclose(result.keypoints[0, others], kpts[2, others])
    np.testing.assert_allclose(
        result.keypoint_scores[0, 5], (0.81 + 0.16) / (0.9 + 0.4), rtol=1e-6
    )


def test_integers_become_floats():
    kpts = np.zeros((2, 3, 2), dtype=np.int64)
    kpts[1, :, 0] = 1
    boxes = np.array([[0, 0, 50, 50]] * 2)
    result = ParametricPoseNMS('coco')(kpts, np.ones((2, 3)), boxes)
    assert result.keypoints.dtype == np.float64
    np.testing.assert_allclose(result.keypoints[..., 0], 0.5)


def test_built_by_name_and_from_a_file(tmp_path):
    built = TASK_UTILS.build(
        dict(type='ParametricPoseNMS', preset='mpii', lambda_=1.0)
    )
    assert built.rule == make_rule('mpii', lambda_=1.0)
    path = tmp_path / 'learned.json'
    save_rule(path, built.rule, dict(data='none'))
    assert ParametricPoseNMS(learned_file=path).rule == built.rule
    changed = ParametricPoseNMS(learned_file=str(path), eta=1.5)
    assert changed.rule == make_rule('mpii', lambda_=1.0, eta=1.5)
    with pytest.raises(ValueError, match='either preset'):
        ParametricPoseNMS('mpii', learned_file=path)
    assert ParametricPoseNMS().rule == make_rule('coco')
