"""Comparing pose NMS rules on the same poses."""

import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet
from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms.learning import compare_nms
from rmpe_spm.pose_nms.oks_nms import OKSNMS, SoftOKSNMS
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS


def test_duplicates_cost_precision_until_an_nms_removes_them():
    """Two people; the duplicate of the first comes before the second."""
    base = np.stack([np.arange(17.0) * 10, np.arange(17.0) * 5], 1)
    people = np.stack([base, base + 1000])
    poses = people[[0, 0, 1]]
    truth = ImageGroundTruth(
        np.concatenate([people, np.full((2, 17, 1), 2.0)], 2),
        np.tile([0.0, 0, 160, 80], (2, 1)),
        np.full(2, 8e3),
        np.zeros(2, dtype=bool),
    )
    boxes = np.concatenate([poses.min(1), poses.max(1)], 1)
    pose_set = PoseSet(
        [1], [truth], [poses], [np.full((3, 17), 0.9)], [boxes],
        [np.array([0.9, 0.8, 0.7])],
    )  # fmt: skip
    found = compare_nms(
        pose_set,
        {
            'none': None,
            'oks': OKSNMS(),
            'soft': SoftOKSNMS(),
            'coco': ParametricPoseNMS('coco'),
        },
        np.array(COCO_SIGMAS),
    )
    # precision 1 up to a recall of 0.5, then 2 / 3
    assert found['none'].ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    for name in ('oks', 'soft', 'coco'):
        assert found[name].ap == pytest.approx(1)
        assert found[name].ap50 == found[name].ap75 == pytest.approx(1)
    numbers = {name: score.num_poses for name, score in found.items()}
    assert numbers == dict(none=3, oks=2, soft=3, coco=2)
    assert found['coco'].milliseconds > 0
