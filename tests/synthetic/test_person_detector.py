from functools import cache

import numpy as np

from rmpe_spm.synthetic.coco_annotations import scene_annotations
from rmpe_spm.synthetic.person_detector import (
    MIN_SCORE,
    NMS_IOU,
    limb_reach,
    simulate_detections,
)
from rmpe_spm.synthetic.scene import compose_scene


def iou(a, b):
    inner = np.clip(np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2]), 0,
                    None).prod()  # fmt: skip
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return inner / (sum(areas) - inner)


@cache
def scene_of(seed):
    scene = compose_scene(np.random.default_rng(seed), (320, 240))
    bboxes = {
        index: annotation['bbox']
        for index, annotation in scene_annotations(scene)
        if index is not None
    }
    return scene, bboxes


def scenes(count):
    for seed in range(count):
        yield np.random.default_rng(seed), *scene_of(seed)


def test_reach_by_hand():
    class figure:
        core = (20, 30, 40, 90)

    box = np.array([10, 30, 70, 100.0])
    np.testing.assert_array_equal(limb_reach(figure, box), [10, 0, 30, 10])


def test_boxes_are_ordered_usable_and_thinned():
    for rng, scene, bboxes in scenes(30):
        found = simulate_detections(rng, scene, bboxes)
        assert found.shape[1] == 5
        assert (np.diff(found[:, 4]) <= 0).all()
        assert (found[:, 4] >= MIN_SCORE).all() and (found[:, 4] < 1).all()
        assert (found[:, :2] >= 0).all()
        assert (found[:, 2:4] <= (320, 240)).all()
        assert ((found[:, 2:4] - found[:, :2]) >= 6).all()
        for i in range(len(found)):
            for j in range(i):
                # mmpose's nms counts pixels as one wider
                assert iou(found[i], found[j]) < NMS_IOU + 0.03


def test_it_errs_as_a_weak_detector_does():
    total = hits = redundant = alone = false = 0
    for rng, scene, bboxes in scenes(100):
        truth = [np.array([x, y, x + w, y + h, 1.0])
                 for x, y, w, h in bboxes.values()]  # fmt: skip
        found = simulate_detections(rng, scene, bboxes)
        for person in truth:
            close = sum(iou(person, box) > 0.5 for box in found)
            total += 1
            hits += close > 0
            redundant += close > 1
        for box in found:
            best = max((iou(person, box) for person in truth), default=0)
            false += best < 0.1
            alone += 1
    assert 0.6 < hits / total < 0.97
    assert 0.1 < redundant / total < 0.7
    assert 0.05 < false / alone < 0.5


def test_errors_depend_on_the_pose():
    reach, inward = [], []
    for rng, scene, bboxes in scenes(100):
        for index, (x, y, w, h) in bboxes.items():
            if h < 60:
                continue
            box = np.array([x, y, x + w, y + h], float)
            found = simulate_detections(rng, scene, {index: (x, y, w, h)})
            close = [b for b in found if iou([*box, 1], b) > 0.5]
            if not close:
                continue
            error = (close[0][:4] - box) * (1, 1, -1, -1)
            reach.append(limb_reach(scene.people[index], box) / (w, h, w, h))
            inward.append(error / (w, h, w, h))
    reach, inward = np.array(reach), np.array(inward)
    far = reach[:, 2] > np.median(reach[:, 2])
    # where limbs stick out far the side is drawn in farther
    assert inward[far, 2].mean() > inward[~far, 2].mean() + 0.03


def test_nobody_there_only_false_positives():
    rng, scene, _ = next(scenes(1))
    found = simulate_detections(rng, scene, {})
    assert found.shape[1] == 5 and len(found) < 8
