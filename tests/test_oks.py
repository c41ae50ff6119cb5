"""OKS between poses, by hand and beside mmpose's."""

import math

import numpy as np
import pytest
from mmpose.evaluation.functional.nms import oks_iou

from rmpe_spm.oks import COCO_SIGMAS, annotated_oks, pose_oks, resolve_sigmas


def test_one_joint_by_hand():
    pose = np.array([[0.0, 0.0], [5.0, 5.0]])
    others = np.array([[[3.0, 4.0], [5.0, 5.0]], [[np.nan, 0.0], [5.0, 5.0]]])
    oks = pose_oks(pose, others, 80.0, np.array([120.0, 100]), np.full(2, 0.1))
    # 25 / (2 * 0.2^2 * 100)
    assert oks == pytest.approx([(math.exp(-25 / 8) + 1) / 2, 0.5])


def test_equals_mmpose():
    rng = np.random.default_rng(0)
    poses = rng.uniform(0, 100, (20, 17, 3))
    poses[1:] = poses[0] + rng.normal(size=(19, 17, 3)) * 5
    areas = rng.uniform(1e3, 1e4, 20)
    expected = oks_iou(
        poses[0].ravel(), poses[1:].reshape(19, -1), areas[0], areas[1:]
    )
    sigmas = resolve_sigmas(None, 17)
    oks = pose_oks(
        poses[0, :, :2], poses[1:, :, :2], areas[0], areas[1:], sigmas
    )
    np.testing.assert_allclose(oks, expected, rtol=1e-5)
    pairs = pose_oks(
        poses[:1, :, :2].repeat(19, 0),
        poses[1:, :, :2],
        areas[:1].repeat(19),
        areas[1:],
        sigmas,
    )
    np.testing.assert_array_equal(pairs, oks)


def test_sigmas_of_other_data_sets():
    assert resolve_sigmas(None, 17).tolist() == list(COCO_SIGMAS)
    assert resolve_sigmas([0.1, 0.2], 2).tolist() == [0.1, 0.2]
    with pytest.raises(ValueError, match='16 keypoints, but COCO has 17'):
        resolve_sigmas(None, 16)
    with pytest.raises(ValueError, match='3 keypoints, but sigmas has 2'):
        resolve_sigmas([0.1, 0.2], 3)


def test_annotated_oks_has_every_bit_of_coco():
    """Beside the definition, a pair at a time, in xtcocotools' order."""
    rng = np.random.default_rng(0)
    number = 200
    sigmas = np.array(COCO_SIGMAS, dtype=np.float32)
    truth = rng.uniform(0, 100, (number, 17, 2))
    poses = truth + rng.normal(size=truth.shape) * 5
    labelled = rng.random((number, 17)) < rng.uniform(0, 1, (number, 1))
    labelled[:20] = False
    boxes = rng.uniform(10, 40, (number, 4))
    areas = rng.uniform(500, 2000, number)
    found = annotated_oks(poses, truth, labelled, boxes, areas, sigmas)
    for row in range(number):
        (xd, yd), (xg, yg) = poses[row].T, truth[row].T
        dx, dy = xd - xg, yd - yg
        if not labelled[row].any():
            x, y, w, h = boxes[row]
            zero = np.zeros(17)
            dx = np.maximum(zero, x - w - xd) + np.maximum(
                zero, xd - x - 2 * w
            )
            dy = np.maximum(zero, y - h - yd) + np.maximum(
                zero, yd - y - 2 * h
            )
        e = (dx**2 + dy**2) / (sigmas * 2) ** 2
        e = e / (areas[row] + np.spacing(1)) / 2
        if labelled[row].any():
            e = e[labelled[row]]
        expected = np.sum(np.exp(-e)) / len(e)
        if labelled[row].any():
            assert found[row] == expected
        assert found[row] == pytest.approx(expected, abs=1e-14)
    assert found[:20].max() > 0.5 > found[:20].min()
