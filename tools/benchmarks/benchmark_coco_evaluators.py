#!/usr/bin/env python
"""Time the COCO evaluation beside xtcocotools, on the same results.

Three evaluators take turns in one process on one core: xtcocotools, which
mmpose uses, faster-coco-eval as it is, and rmpe_spm's use of it; the fastest
run of each counts. The time is that from results in memory to the numbers,
as a metric needs it after each epoch; the reference's index of the
annotations is made before. Then the whole metrics, mmpose's ``CocoMetric``
and ``PoseNMSCocoMetric``, from a model's predictions to the numbers. Prints
the largest difference of any number, too, and the time of a bootstrap of AP
over the images::

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_coco_evaluators.py \
        person_keypoints_val2017.json results.json --copies 1 10

Without results, noise is added to the annotated people.
"""

import argparse
import contextlib
import copy
import io
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import faster_coco_eval
import numpy as np
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from mmengine.logging import MMLogger
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.bootstrap import bootstrap_ap
from rmpe_spm.coco.evaluation import evaluate_keypoints
from rmpe_spm.coco.ground_truth import make_pose_set
from rmpe_spm.coco.keypoint_ap import match_poses
from rmpe_spm.coco.metric import PoseNMSCocoMetric
from rmpe_spm.coco.results import check_results

DATASETS = {
    'coco': ('keypoints', True),
    'ochuman': ('keypoints', True),
    'crowdpose': ('keypoints_crowd', False),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0]
    )
    parser.add_argument('annotations', type=Path)
    parser.add_argument('results', type=Path, nargs='?')
    parser.add_argument('--dataset', choices=DATASETS, default='coco')
    parser.add_argument(
        '--copies',
        type=int,
        nargs='+',
        default=[1],
        help='how often the images and all they have are taken',
    )
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def noisy_results(annotations: dict, rng: np.random.Generator) -> list[dict]:
    """Three poses of every annotated person, each with more noise."""
    results = []
    for person in annotations['annotations']:
        for noise in (0.01, 0.03, 0.06):
            pose = np.array(person['keypoints'], float).reshape(-1, 3)
            sigma = noise * max(person['bbox'][2:])
            pose[:, :2] += rng.normal(0, sigma, pose[:, :2].shape)
            pose[:, 2] = 1 - noise
            results.append(
                dict(
                    image_id=person['image_id'],
                    category_id=person['category_id'],
                    keypoints=pose.ravel().tolist(),
                    score=float(rng.random()),
                )
            )
    return results


def repeat(
    annotations: dict, results: list[dict], copies: int
) -> tuple[dict, list[dict]]:
    """The data set with all its images so many times."""
    step = 1 + max(image['id'] for image in annotations['images'])
    ids = 1 + max(person['id'] for person in annotations['annotations'])
    images, people, poses = [], [], []
    for number in range(copies):
        for entry in annotations['images']:
            images.append(dict(entry, id=entry['id'] + number * step))
        for entries, new in (
            (annotations['annotations'], people),
            (results, poses),
        ):
            for entry in entries:
                entry = dict(entry, image_id=entry['image_id'] + number * step)
                if 'id' in entry:
                    entry['id'] += number * ids
                new.append(entry)
    return dict(annotations, images=images, annotations=people), poses


def by_xtcocotools(
    annotations: dict, sigmas: np.ndarray, iou_type: str, use_area: bool
) -> Callable[[list[dict]], np.ndarray]:
    """What mmpose's CocoMetric does with results."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / 'annotations.json'
    path.write_text(json.dumps(annotations))
    truth = COCO(str(path))

    def evaluate(results: list[dict]) -> np.ndarray:
        found = truth.loadRes(str(folder.name), results)
        evaluation = COCOeval(truth, found, iou_type, sigmas, use_area)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats

    return evaluate


def by_faster_coco_eval(
    annotations: dict, sigmas: np.ndarray, iou_type: str, use_area: bool
) -> Callable[[list[dict]], np.ndarray]:
    """The library as it is."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / 'annotations.json'
    path.write_text(json.dumps(annotations))
    truth = faster_coco_eval.COCO(str(path))

    def evaluate(results: list[dict]) -> np.ndarray:
        assert folder.name
        evaluation = COCOeval_faster(
            truth,
            truth.loadRes(results),
            iou_type,
            kpt_oks_sigmas=sigmas,
            use_area=use_area,
        )
        evaluation.run()
        return np.array(evaluation.all_stats)

    return evaluate


def by_rmpe_spm(
    annotations: dict, sigmas: np.ndarray, iou_type: str, use_area: bool
) -> Callable[[list[dict]], np.ndarray]:
    """What PoseNMSCocoMetric does with results, checks included."""
    images = {image['id'] for image in annotations['images']}
    categories = {each['id'] for each in annotations['categories']}

    def evaluate(results: list[dict]) -> np.ndarray:
        KeypointAnnotations(annotations).check_evaluation(
            len(sigmas), use_area, iou_type
        )
        check_results(results, len(sigmas), images, categories)
        numbers = evaluate_keypoints(
            annotations, results, sigmas, iou_type, use_area
        )
        return np.array(list(numbers.values()))

    return evaluate


def samples_of(results: list[dict], num_keypoints: int) -> list[dict]:
    """Results as what a bottom-up model hands to a metric."""
    images = defaultdict(list)
    for result in results:
        images[result['image_id']].append(result)
    samples = []
    for image_id, persons in images.items():
        joints = np.array([person['keypoints'] for person in persons], float)
        joints = joints.reshape(len(persons), num_keypoints, 3)
        scores = np.array([person['score'] for person in persons])
        poses = dict(
            keypoints=joints[..., :2],
            keypoint_scores=joints[..., 2],
            bbox_scores=scores,
        )
        samples.append(
            dict(
                id=list(range(len(persons))),
                img_id=image_id,
                gt_instances={},
                pred_instances=poses,
            )
        )
    return samples


def time_metrics(
    data: tuple[dict, list[dict]],
    meta: dict,
    iou_type: str,
    use_area: bool,
    repeats: int,
) -> None:
    """Print the time of the whole metrics."""
    samples = samples_of(data[1], len(meta['sigmas']))
    best, numbers = [np.inf, np.inf], [{}, {}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'annotations.json'
        path.write_text(json.dumps(data[0]))
        options = dict(
            ann_file=str(path), iou_type=iou_type, use_area=use_area
        )
        for _ in range(repeats):
            with contextlib.redirect_stdout(io.StringIO()):
                metrics = (
                    CocoMetric(nms_mode='none', **options),
                    PoseNMSCocoMetric(**options),
                )
                for place, metric in enumerate(metrics):
                    metric.dataset_meta = dict(meta)
                    start = time.perf_counter()
                    metric.process({}, samples)
                    numbers[place] = metric.evaluate(len(samples))
                    seconds = time.perf_counter() - start
                    best[place] = min(best[place], seconds)
    difference = max(abs(numbers[0][k] - numbers[1][k]) for k in numbers[0])
    print(
        f'  CocoMetric {1000 * best[0]:.1f} ms, PoseNMSCocoMetric '
        f'{1000 * best[1]:.1f} ms: {best[0] / best[1]:.1f}x, difference '
        f'{difference:.1e}'
    )


def main() -> None:
    MMLogger.get_instance('benchmark', log_level='ERROR')
    args = parse_args()
    iou_type, use_area = DATASETS[args.dataset]
    config = f'configs/_base_/datasets/{args.dataset}.py'
    meta = parse_pose_metainfo(dict(from_file=config))
    sigmas = meta['sigmas']
    annotations = json.loads(args.annotations.read_text())
    if args.results:
        results = json.loads(args.results.read_text())
    else:
        results = noisy_results(annotations, np.random.default_rng(args.seed))
    print(
        f'{args.dataset}: ms for xtcocotools, faster-coco-eval, rmpe_spm; '
        "how many times as fast as xtcocotools; the numbers' differences; "
        'ms to match, and to bootstrap AP 1,000 times'
    )
    for copies in args.copies:
        data = repeat(annotations, results, copies)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluators = [
                make(data[0], sigmas, iou_type, use_area)
                for make in (by_xtcocotools, by_faster_coco_eval, by_rmpe_spm)
            ]
        best = np.full(len(evaluators), np.inf)
        numbers = [None] * len(evaluators)
        for _ in range(args.repeats):
            for place, evaluate in enumerate(evaluators):
                fresh = copy.deepcopy(data[1])
                with contextlib.redirect_stdout(io.StringIO()):
                    start = time.perf_counter()
                    numbers[place] = evaluate(fresh)
                    seconds = time.perf_counter() - start
                best[place] = min(best[place], seconds)
        differences = [
            np.abs(values - numbers[0]).max() for values in numbers[1:]
        ]
        start = time.perf_counter()
        matches = match_poses(
            make_pose_set(*data, len(sigmas), use_area, iou_type), sigmas
        )
        matched = time.perf_counter() - start
        start = time.perf_counter()
        found = bootstrap_ap(matches, np.random.default_rng(args.seed))
        drawn = time.perf_counter() - start
        print(
            f'{len(data[0]["images"]):6} images {len(data[1]):7} poses | '
            + ' '.join(f'{1000 * seconds:9.1f}' for seconds in best)
            + ' | '
            + ' '.join(f'{best[0] / each:5.1f}x' for each in best[1:])
            + ' | '
            + ' '.join(f'{each:.1e}' for each in differences)
            + f' | {1000 * matched:7.1f} {1000 * drawn:7.1f} | AP '
            f'{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]'
        )
        time_metrics(data, meta, iou_type, use_area, args.repeats)


if __name__ == '__main__':
    main()
