"""The fast AP beside xtcocotools'."""

import json
from collections import defaultdict

import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import (
    FlatGroundTruth,
    ImageGroundTruth,
    read_pose_set,
)
from rmpe_spm.coco.keypoint_ap import KeypointAP
from rmpe_spm.oks import COCO_SIGMAS

SIGMAS = np.array(COCO_SIGMAS)


def compare(reference, tmp_path, annotations, results, seed=0):
    """Every subset has the reference's precision."""
    ann_file, result_file = tmp_path / 'ann.json', tmp_path / 'res.json'
    ann_file.write_text(json.dumps(annotations))
    result_file.write_text(json.dumps(results))
    poses = read_pose_set(ann_file, result_file, 17)
    evaluation = KeypointAP(
        FlatGroundTruth(poses.truths),
        np.concatenate(poses.keypoints),
        np.concatenate(poses.scores),
        np.array([len(scores) for scores in poses.scores]),
        SIGMAS,
    )
    by_image = defaultdict(list)
    for result in results:
        by_image[result['image_id']].append(result)
    ordered = [r for i in poses.image_ids for r in by_image[i]]
    assert len(ordered) == poses.num_poses
    rng = np.random.default_rng(seed)
    for share in (1.0, 0.7, 0.3):
        kept = rng.random(len(ordered)) < share
        _, expected = reference(
            annotations,
            [r for r, k in zip(ordered, kept, strict=True) if k],
            SIGMAS,
        )
        expected = expected[:, :, 0, 0, 0]
        found = evaluation.precision(kept)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert evaluation(kept) == pytest.approx(expected.mean(), abs=1e-12)
        assert evaluation(kept) > 0.01


@pytest.mark.parametrize('seed', range(6))
def test_equals_xtcocotools_on_crowds(
    seed, crowded, reference_evaluation, tmp_path
):
    compare(reference_evaluation, tmp_path, *crowded(seed))


@pytest.mark.parametrize(
    'annotations,results',
    [
        ('example_coco_val.json', 'example_coco_preds.json'),
        ('coco_val_subset250.json', 'lightweight_openpose_results.json'),
    ],
)
def test_equals_xtcocotools_on_real_results(
    annotations, results, shared_dir, reference_evaluation, tmp_path
):
    folder = shared_dir / 'data' / 'evaluator_fixtures'
    compare(
        reference_evaluation,
        tmp_path,
        json.loads((folder / annotations).read_text()),
        json.loads((folder / results).read_text()),
    )


def truth(keypoints, visible=2, crowd=False, area=100.0):
    joints = np.c_[keypoints, np.full(len(keypoints), visible)]
    return ImageGroundTruth(
        joints[None], np.array([[0.0, 0, 10, 10]]), np.array([area]),
        np.array([crowd]),
    )  # fmt: skip


def test_ap_by_hand():
    """A hit, a duplicate of it and a false alarm before the second hit."""
    person = np.full((1, 2), 5.0)
    poses = [person, person, person + 1e4, person]
    evaluation = KeypointAP(
        FlatGroundTruth([truth(person), truth(person)]),
        np.stack(poses),
        np.array([0.9, 0.8, 0.7, 0.6]),
        np.array([3, 1]),
        np.array([0.1]),
    )
    # precision 1 up to a recall of 0.5, then 2 / 4
    assert evaluation() == pytest.approx((51 + 50 * 0.5) / 101)
    assert evaluation(np.array([1, 0, 0, 1], bool)) == pytest.approx(1)
    assert evaluation(np.array([0, 1, 0, 0], bool)) == pytest.approx(51 / 101)
    assert evaluation(np.zeros(4, bool)) == 0
