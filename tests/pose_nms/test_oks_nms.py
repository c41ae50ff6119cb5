"""OKS NMS beside mmpose's function."""

import numpy as np
import pytest
from mmpose.evaluation.functional import oks_nms
from mmpose.registry import TASK_UTILS

from rmpe_spm.pose_nms.oks_nms import OKSNMS


def crowd(seed, number=40):
    """Poses of ten people with different noise."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 300, (10, 1, 2)) + rng.uniform(0, 100, (10, 17, 2))
    kpts = base[rng.integers(0, 10, number)]
    kpts = kpts + rng.normal(size=kpts.shape) * rng.uniform(
        0, 4, (number, 1, 1)
    )
    boxes = np.concatenate([kpts.min(1), kpts.max(1)], 1)
    return kpts, rng.random((number, 17)), boxes, rng.random(number)


@pytest.mark.parametrize('thr', [0.5, 0.7, 0.9])
@pytest.mark.parametrize('with_areas', [False, True])
def test_keeps_what_mmpose_keeps(thr, with_areas):
    kpts, joint_scores, boxes, scores = crowd(0)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    given = {}
    if with_areas:
        areas = areas * 1.5
        given = dict(areas=areas)
    expected = oks_nms(
        [
            dict(
                keypoints=np.concatenate(
                    [kpts[i], joint_scores[i, :, None]], 1
                ),
                score=scores[i],
                area=areas[i],
            )
            for i in range(len(kpts))
        ],
        thr,
    )
    result = OKSNMS(thr)(kpts, joint_scores, boxes, scores=scores, **given)
    assert result.keep.tolist() == expected.tolist()
    assert 10 <= len(expected) < 40
    np.testing.assert_array_equal(result.scores, scores[expected])
    np.testing.assert_array_equal(result.keypoints, kpts[expected])
    assert sorted(np.concatenate(result.clusters)) == list(range(40))


def test_batch_and_other_keypoints():
    images = [crowd(i, n)[:3] for i, n in enumerate((0, 1, 9))]
    nms = OKSNMS(0.6)
    for result, image in zip(
        nms.batch(*zip(*images, strict=True)), images, strict=True
    ):
        assert result.keep.tolist() == nms(*image).keep.tolist()
    kpts, scores, boxes = images[2]
    with pytest.raises(ValueError, match='pass sigmas='):
        nms(kpts[:, :5], scores[:, :5], boxes)
    few = OKSNMS(0.6, sigmas=[0.1] * 5)
    assert len(few(kpts[:, :5], scores[:, :5], boxes)) > 0


def test_built_by_name():
    assert TASK_UTILS.build(dict(type='OKSNMS')).thr == 0.9
    with pytest.raises(ValueError, match='thr is an OKS'):
        OKSNMS(90)
