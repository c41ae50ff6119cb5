from functools import cache

import numpy as np

from rmpe_spm.rmpe.pgpg_fitting import pairwise_iou
from rmpe_spm.synthetic.coco_annotations import scene_annotations
from rmpe_spm.synthetic.people_dataset import (
    MIN_SCORE,
    NMS_IOU,
    limb_reach,
    simulate_detections,
)
from rmpe_spm.synthetic.scene import compose_scene


@cache
def scene_of(seed):
    """A scene, and the boxes of its people."""
    scene = compose_scene(np.random.default_rng(seed), (320, 240))
    bboxes = {
        index: annotation['bbox']
        for index, annotation in scene_annotations(scene)
        if index is not None
    }
    return scene, bboxes


def xyxy(bboxes):
    x, y, w, h = np.reshape(list(bboxes.values()), (-1, 4)).T
    return np.stack((x, y, x + w, y + h), axis=1)


def scenes(count):
    for seed in range(count):
        yield np.random.default_rng(seed), *scene_of(seed)


def test_boxes_are_ordered_usable_and_thinned():
    for rng, scene, bboxes in scenes(30):
        found = simulate_detections(rng, scene, bboxes)
        boxes, scores = found[:, :4], found[:, 4]
        assert found.shape[1] == 5
        assert (np.diff(scores) <= 0).all()
        assert (scores >= MIN_SCORE).all() and (scores < 1).all()
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (320, 240)).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 6).all()
        # mmpose's nms counts pixels as one wider
        assert (np.tril(pairwise_iou(boxes, boxes), -1) < NMS_IOU + 0.03).all()


def test_it_errs_as_a_weak_detector_does():
    close, best = [], []
    for rng, scene, bboxes in scenes(100):
        found = simulate_detections(rng, scene, bboxes)
        ious = pairwise_iou(xyxy(bboxes), found[:, :4])
        close += (ious > 0.5).sum(axis=1).tolist()
        best += ious.max(axis=0, initial=0).tolist()
    close, best = np.array(close), np.array(best)
    assert 0.6 < (close > 0).mean() < 0.97
    assert 0.1 < (close > 1).mean() < 0.7
    assert 0.05 < (best < 0.1).mean() < 0.5


def test_errors_depend_on_the_pose():
    reach, inward = [], []
    for rng, scene, bboxes in scenes(100):
        for index, (x, y, w, h) in bboxes.items():
            if h < 60:
                continue
            box = np.array([x, y, x + w, y + h], float)
            found = simulate_detections(rng, scene, {index: (x, y, w, h)})
            (ious,) = pairwise_iou(box[None], found[:, :4])
            close = found[ious > 0.5]
            if not len(close):
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
