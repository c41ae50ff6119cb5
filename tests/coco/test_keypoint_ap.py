"""The fast AP of subsets and of resamples beside the evaluation's."""

from collections import defaultdict

import numpy as np
import pytest
from coco_samples import crowded, reference_evaluation

from rmpe_spm.coco.evaluation import evaluate_keypoints
from rmpe_spm.coco.ground_truth import (
    FlatGroundTruth,
    ImageGroundTruth,
    make_pose_set,
)
from rmpe_spm.coco.keypoint_ap import KeypointAP, PoseMatches, match_poses
from rmpe_spm.oks import COCO_SIGMAS

SIGMAS = np.array(COCO_SIGMAS)


@pytest.mark.parametrize('seed', range(6))
def test_subsets_have_the_precision_of_xtcocotools(seed):
    annotations, results = crowded(seed)
    poses = make_pose_set(annotations, results, 17)
    evaluation = KeypointAP.of(poses, SIGMAS)
    by_image = defaultdict(list)
    for result in results:
        by_image[result['image_id']].append(result)
    ordered = [r for i in poses.image_ids for r in by_image[i]]
    assert len(ordered) == poses.num_poses
    rng = np.random.default_rng(0)
    for share in (1.0, 0.7, 0.3):
        kept = rng.random(len(ordered)) < share
        _, expected = reference_evaluation(
            annotations,
            [r for r, k in zip(ordered, kept, strict=True) if k],
            SIGMAS,
        )
        expected = expected[:, :, 0, 0, 0]
        found, _ = evaluation.curves(kept)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert evaluation(kept) == pytest.approx(expected.mean(), abs=1e-12)
        assert evaluation(kept) > 0.01


def test_ap_by_hand():
    """A hit, a duplicate of it and a false alarm before the second hit."""
    person = np.full((1, 2), 5.0)
    truth = ImageGroundTruth(
        np.array([[[5.0, 5.0, 2.0]]]), np.array([[0.0, 0, 10, 10]]),
        np.array([100.0]), np.array([False]),
    )  # fmt: skip
    evaluation = KeypointAP(
        FlatGroundTruth([truth, truth]),
        np.stack([person, person, person + 1e4, person]),
        np.array([0.9, 0.8, 0.7, 0.6]),
        np.array([3, 1]),
        np.array([0.1]),
    )
    # precision 1 up to a recall of 0.5, then 2 / 4
    assert evaluation() == pytest.approx((51 + 50 * 0.5) / 101)
    assert evaluation(np.array([1, 0, 0, 1], bool)) == pytest.approx(1)
    assert evaluation(np.array([0, 1, 0, 0], bool)) == pytest.approx(51 / 101)
    assert evaluation(np.zeros(4, bool)) == 0


def copies(annotations, results, image_ids, counts):
    """The data set with every image so many times, under new ids."""
    new = dict(annotations, images=[], annotations=[])
    new_results = []
    for image, count in zip(image_ids, counts, strict=True):
        for _ in range(count):
            name = len(new['images'])
            new['images'].append(dict(id=name))
            for entry in annotations['annotations']:
                if entry['image_id'] == image:
                    number = len(new['annotations'])
                    entry = dict(entry, image_id=name, id=number)
                    new['annotations'].append(entry)
            new_results += [
                dict(result, image_id=name)
                for result in results
                if result['image_id'] == image
            ]
    return new, new_results


@pytest.mark.parametrize('seed', range(4))
def test_resamples_are_data_sets_with_copies(monkeypatch, seed):
    annotations, results = crowded(seed)
    rng = np.random.default_rng(seed)
    for result in results:
        result['score'] = float(rng.random())
    matches = match_poses(make_pose_set(annotations, results, 17), SIGMAS)
    assert matches.image_ids == tuple(range(1, 13))
    counts = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), 12)
    found = matches.ap(counts)
    for row, ap in zip(counts, found, strict=True):
        expected = evaluate_keypoints(
            *copies(annotations, results, matches.image_ids, row), SIGMAS
        )
        assert ap == pytest.approx(expected['AP'], abs=1e-12)
    assert found.std() > 0.005
    whole = evaluate_keypoints(annotations, results, SIGMAS)
    assert matches.ap() == pytest.approx([whole['AP']], abs=1e-12)
    # in parts, it is the same
    monkeypatch.setattr('rmpe_spm.coco.keypoint_ap._CELLS', 1)
    np.testing.assert_array_equal(matches.ap(counts), found)


def matches_of(people, image, positives):
    """Matches that are the same at all thresholds."""
    positives = np.repeat(np.array([positives], bool), 10, axis=0)
    return PoseMatches(
        image_ids=tuple(range(len(people))),
        people=np.array(people),
        image=np.array(image, int),
        true_positives=positives,
        false_positives=~positives,
    )


def test_resamples_by_hand():
    """A hit, then a false alarm before the second hit."""
    matches = matches_of([1, 1, 0], [0, 2, 1], [1, 0, 1])
    counts = [[1, 1, 1], [1, 1, 0], [0, 2, 1], [3, 0, 5], [0, 1, 4], [0, 0, 3]]
    expected = [(51 + 50 * 2 / 3) / 101, 1, 2 / 3, 1, 0.2, np.nan]
    np.testing.assert_allclose(matches.ap(np.array(counts)), expected)
    # no poses
    assert matches_of([2], [], []).ap().tolist() == [0]
