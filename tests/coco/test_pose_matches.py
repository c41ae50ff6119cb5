"""AP of resampled images beside that of data sets with their copies."""

import json

import numpy as np
import pytest

from rmpe_spm.coco.evaluation import evaluate_keypoints
from rmpe_spm.coco.ground_truth import make_pose_set
from rmpe_spm.coco.keypoint_ap import PoseMatches, match_poses
from rmpe_spm.oks import COCO_SIGMAS

SIGMAS = np.array(COCO_SIGMAS)


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


def compare(annotations, results, resamples, seed=0):
    matches = match_poses(make_pose_set(annotations, results, 17), SIGMAS)
    images = len(annotations['images'])
    assert matches.image_ids == tuple(
        sorted(image['id'] for image in annotations['images'])
    )
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(images, np.full(images, 1 / images), resamples)
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
    np.testing.assert_array_equal(
        found, np.concatenate([matches.ap(counts[:3]), matches.ap(counts[3:])])
    )


@pytest.mark.parametrize('seed', range(4))
def test_people_in_crowds(crowded, seed):
    annotations, results = crowded(seed)
    rng = np.random.default_rng(seed)
    for result in results:
        result['score'] = float(rng.random())
    compare(annotations, results, 12)


def test_real_results(shared_dir):
    folder = shared_dir / 'data' / 'coco_mini'
    annotations, results = (
        json.loads((folder / name).read_text())
        for name in (
            'annotations/person_keypoints_val2017.json',
            'results/yolo11n_pose_val2017.json',
        )
    )
    compare(annotations, results, 4)


def test_many_parts(crowded, monkeypatch):
    matches = match_poses(make_pose_set(*crowded(1), 17), SIGMAS)
    counts = np.random.default_rng(0).integers(0, 3, (7, 12))
    expected = matches.ap(counts)
    monkeypatch.setattr('rmpe_spm.coco.keypoint_ap._CELLS', 1)
    np.testing.assert_array_equal(matches.ap(counts), expected)


def test_huge_poses_count_as_in_coco(crowded):
    annotations, results = crowded(2)
    rng = np.random.default_rng(0)
    for result in results:
        result['score'] = float(rng.random())
        result['bbox'] = [0, 0, 10, 10]
        if rng.random() < 0.5:
            result['bbox'] = [0, 0, 1e6, 1e6]
    compare(annotations, results, 4)


def test_by_hand():
    """A hit, then a false alarm before the second hit."""
    found = np.zeros((10, 3), bool)
    found[:, [0, 2]] = True
    matches = PoseMatches(
        image_ids=('a', 'b', 'c'),
        people=np.array([1, 1, 0]),
        image=np.array([0, 2, 1]),
        true_positives=found,
        false_positives=~found,
    )
    counts = [[1, 1, 1], [1, 1, 0], [0, 2, 1], [3, 0, 5], [0, 1, 4], [0, 0, 3]]
    expected = [(51 + 50 * 2 / 3) / 101, 1, 2 / 3, 1, 0.2, np.nan]
    np.testing.assert_allclose(matches.ap(np.array(counts)), expected)


def test_no_poses():
    matches = PoseMatches(
        image_ids=(1,),
        people=np.array([2]),
        image=np.zeros(0, int),
        true_positives=np.zeros((10, 0), bool),
        false_positives=np.zeros((10, 0), bool),
    )
    assert matches.ap().tolist() == [0]
