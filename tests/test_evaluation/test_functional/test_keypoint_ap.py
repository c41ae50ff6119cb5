"""The fast AP beside xtcocotools'."""

import json
from collections import defaultdict

import numpy as np
import pytest
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from rmpe_spm.evaluation.functional.coco_poses import read_pose_set
from rmpe_spm.evaluation.functional.keypoint_ap import (
    AnnotatedPeople,
    ImageTruth,
    KeypointAP,
)
from rmpe_spm.evaluation.functional.oks import COCO_SIGMAS

SIGMAS = np.array(COCO_SIGMAS)


def reference_precision(annotations, results):
    """Precision by xtcocotools, (10, 101)."""
    truth = COCO()
    truth.dataset = json.loads(json.dumps(annotations))
    truth.createIndex()
    evaluation = COCOeval(
        truth, truth.loadRes(json.loads(json.dumps(results))), 'keypoints',
        SIGMAS,
    )  # fmt: skip
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval['precision'][:, :, 0, 0, 0]


def compare(tmp_path, annotations, results, seed=0):
    """Every subset has the reference's precision."""
    ann_file, result_file = tmp_path / 'ann.json', tmp_path / 'res.json'
    ann_file.write_text(json.dumps(annotations))
    result_file.write_text(json.dumps(results))
    poses = read_pose_set(ann_file, result_file, 17)
    evaluation = KeypointAP(
        AnnotatedPeople(poses.truths),
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
        expected = reference_precision(
            annotations,
            [r for r, k in zip(ordered, kept, strict=True) if k],
        )
        found = evaluation.precision(kept)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert evaluation(kept) == pytest.approx(expected.mean(), abs=1e-12)
        assert evaluation(kept) > 0.01


def crowded(seed, images=12):
    """People on top of one another, crowds, unlabelled ones, ties."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for image in range(1, images + 1):
        people = rng.integers(0, 6)
        base = rng.uniform(0, 60, (17, 2))
        poses = [
            base + rng.normal(size=(17, 2)) * rng.choice([1.5, 6, 30])
            for _ in range(people)
        ]
        for pose in poses:
            visible = 2 * (rng.random(17) < rng.choice([0, 0.5, 1]))
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=1,
                    iscrowd=int(rng.random() < 0.2),
                    area=float(rng.uniform(500, 4000)),
                    bbox=[0.0, 0.0, 60.0, 60.0],
                    keypoints=np.c_[pose, visible].ravel().tolist(),
                    num_keypoints=int((visible > 0).sum()),
                )
            )
        for _ in range(rng.integers(0, 40)):
            if people == 0:
                pose = base
            else:
                pose = poses[rng.integers(people)]
            pose = pose + rng.normal(size=(17, 2)) * rng.choice([0.1, 1, 4])
            results.append(
                dict(
                    image_id=image,
                    category_id=1,
                    score=float(np.round(rng.random(), 1)),
                    keypoints=np.c_[pose, np.ones(17)].ravel().tolist(),
                )
            )
    return dict(
        images=[dict(id=i) for i in range(1, images + 1)],
        categories=[dict(id=1, name='person')],
        annotations=annotations,
    ), results


@pytest.mark.parametrize('seed', range(6))
def test_equals_xtcocotools_on_crowds(seed, tmp_path):
    compare(tmp_path, *crowded(seed))


@pytest.mark.parametrize(
    'annotations,results',
    [
        ('example_coco_val.json', 'example_coco_preds.json'),
        ('coco_val_subset250.json', 'lightweight_openpose_results.json'),
    ],
)
def test_equals_xtcocotools_on_real_results(
    annotations, results, shared_dir, tmp_path
):
    folder = shared_dir / 'data' / 'evaluator_fixtures'
    compare(
        tmp_path,
        json.loads((folder / annotations).read_text()),
        json.loads((folder / results).read_text()),
    )


def truth(keypoints, visible=2, crowd=False, area=100.0):
    joints = np.c_[keypoints, np.full(len(keypoints), visible)]
    return ImageTruth(
        joints[None], np.array([[0.0, 0, 10, 10]]), np.array([area]),
        np.array([crowd]),
    )  # fmt: skip


def test_ap_by_hand():
    """A hit, a duplicate of it and a false alarm before the second hit."""
    person = np.full((1, 2), 5.0)
    poses = [person, person, person + 1e4, person]
    evaluation = KeypointAP(
        AnnotatedPeople([truth(person), truth(person)]),
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


def test_oks_by_hand():
    person = np.array([[0.0, 0.0], [10.0, 0.0]])
    one = truth(person, area=100.0)
    one.keypoints[0, 1, 2] = 0
    poses = np.array([[[3.0, 4.0], [99.0, 99.0]], [[0.0, 0], [0, 0]]])
    nobody = truth(person, visible=0)
    people = AnnotatedPeople([one, nobody])
    oks = people.oks(
        poses[[0, 1, 0, 1]], np.array([0, 0, 1, 1]), np.full(2, 0.5)
    )
    # 25 / (1^2 * 100 * 2), the second joint isn't labelled; for the other
    # person (99, 99) is 79 beyond the box (-10, -10, 20, 20)
    np.testing.assert_allclose(
        oks,
        [np.exp(-0.125), 1, (1 + np.exp(-2 * 79**2 / 200)) / 2, 1],
    )
    assert nobody.ignored.tolist() == [True]
    assert one.ignored.tolist() == [False]


def test_nobody_annotated():
    with pytest.raises(ValueError, match='no person with labelled'):
        AnnotatedPeople([truth(np.zeros((1, 2)), visible=0)])
