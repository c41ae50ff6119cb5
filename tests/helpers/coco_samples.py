"""Results as a metric gets them, hard ones, and xtcocotools' numbers."""

import json
from collections import defaultdict

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

META = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))


def samples_of(results, bottom_up=True):
    """COCO results as the data samples of a model's predictions."""
    images = defaultdict(list)
    for result in results:
        images[result['image_id']].append(result)
    samples = []
    for image_id, persons in images.items():
        kpts = np.array([p['keypoints'] for p in persons], dtype=np.float64)
        kpts = kpts.reshape(len(persons), -1, 3)
        scores = np.array([p['score'] for p in persons])
        low, high = kpts[..., :2].min(1), kpts[..., :2].max(1)
        everybody = np.arange(len(persons))
        for own in [everybody] if bottom_up else everybody[:, None]:
            truth = {}
            found = dict(
                keypoints=kpts[own, :, :2], keypoint_scores=kpts[own, :, 2]
            )
            if bottom_up:
                found['bbox_scores'] = scores
            else:
                sizes = 1.25 * (high - low)
                truth.update(bbox_scores=scores[own], bbox_scales=sizes[own])
                found['bboxes'] = np.concatenate([low, high], 1)[own]
            samples.append(
                dict(
                    id=own.tolist() if bottom_up else len(samples),
                    img_id=image_id,
                    gt_instances=truth,
                    pred_instances=found,
                )
            )
    return samples


def evaluate(metric, samples, meta=META):
    metric.dataset_meta = dict(meta)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def reference_evaluation(
    annotations,
    results,
    sigmas,
    iou_type='keypoints',
    use_area=True,
    folder=None,
):
    """The numbers and the precision (10, 101, C, 3, 1) of xtcocotools."""
    annotations, results = json.loads(json.dumps([annotations, results]))
    truth = COCO()
    truth.dataset = annotations
    truth.createIndex()
    if folder is not None:
        # where easy, medium and hard images are read from
        truth.anno_file = [str(folder / 'reference.json')]
        (folder / 'reference.json').write_text(json.dumps(annotations))
    found = COCO()
    if results:
        found = truth.loadRes(results)
    else:
        found.dataset = dict(annotations, annotations=[])
        found.createIndex()
    evaluation = COCOeval(truth, found, iou_type, np.array(sigmas), use_area)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval['precision']
    evaluation.summarize()
    return evaluation.stats, precision


def crowded(seed, images=12, num_keypoints=17):
    """People on top of one another, crowds, unlabelled ones, ties."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    shape = (num_keypoints, 2)
    for image in range(1, images + 1):
        people = rng.integers(0, 6)
        base = rng.uniform(0, 60, shape)
        poses = [
            base + rng.normal(size=shape) * rng.choice([1.5, 6, 30])
            for _ in range(people)
        ]
        for pose in poses:
            share = rng.choice([0, 0.5, 1])
            visible = 2 * (rng.random(num_keypoints) < share)
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
            pose = pose + rng.normal(size=shape) * rng.choice([0.1, 1, 4])
            results.append(
                dict(
                    image_id=image,
                    category_id=1,
                    score=float(np.round(rng.random(), 1)),
                    keypoints=np.c_[pose, np.ones(num_keypoints)]
                    .ravel()
                    .tolist(),
                )
            )
    return dict(
        images=[dict(id=i) for i in range(1, images + 1)],
        categories=[dict(id=1, name='person')],
        annotations=annotations,
    ), results
