"""The component: inputs, results, merging and properties."""

import numpy as np
import pytest
import torch
from mmpose.registry import TASK_UTILS
from redundant_poses import people

from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import PRESETS, make_rule, save_rule


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


# an upright person of height 1 from the front, COCO's joints
UPRIGHT = np.array(
    [
        [0.5, 0.08], [0.53, 0.06], [0.47, 0.06], [0.56, 0.08], [0.44, 0.08],
        [0.62, 0.2], [0.38, 0.2], [0.66, 0.36], [0.34, 0.36], [0.68, 0.5],
        [0.32, 0.5], [0.57, 0.5], [0.43, 0.5], [0.57, 0.74], [0.43, 0.74],
        [0.57, 0.96], [0.43, 0.96],
    ]
)  # fmt: skip


@pytest.mark.parametrize('height', [60, 150, 300, 600])
@pytest.mark.parametrize(
    'other',
    [
        np.array([0.42, 0.0]),  # beside one another
        np.array([0.0, 0.35]),  # one sits in front of the other
        (UPRIGHT[5:] - UPRIGHT[0]) @ [[0, 1], [-1, 0]]  # one leans over
        - (UPRIGHT[5:] - UPRIGHT[0]),
    ],
    ids=['beside', 'below', 'leaning'],
)
def test_people_cheek_to_cheek_stay(other, height):
    """Their faces are one, their bodies apart; a copy of one still goes."""
    rng = np.random.default_rng(0)
    second = UPRIGHT.copy()
    second[5:] += other
    copy = UPRIGHT + rng.normal(0, 0.02, (17, 2))
    kpts = height * np.stack([UPRIGHT, second, copy])
    scores = np.array([[0.9], [0.8], [0.5]]).repeat(17, 1)
    boxes = np.concatenate([kpts.min(1), kpts.max(1)], 1)
    args = kpts, scores, boxes
    assert sorted(ParametricPoseNMS('learned')(*args).keep) == [0, 1]
    assert 1 not in ParametricPoseNMS('coco')(*args).keep


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
