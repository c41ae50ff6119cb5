#!/usr/bin/env python
"""Time the COCO evaluation beside xtcocotools, on the same results.

xtcocotools, which mmpose uses, faster-coco-eval, and rmpe_spm's own evaluation
take turns in one process on one core; the fastest run of each counts.
The time is that from results in memory to the numbers, as a metric needs it
after each epoch. Then the whole metrics, mmpose's ``CocoMetric`` and
``PoseNMSCocoMetric``, from a model's predictions to the numbers. Prints the
largest difference of any number, too. At last a table has the AP of each
library beside ours, with each NMS of mmpose's, on scores rounded to tenths,
which tie::

    OMP_NUM_THREADS=1 python tools/benchmarks/benchmark_coco_evaluators.py \
        person_keypoints_val2017.json results.json --copies 1 10
"""

import argparse
import contextlib
import copy
import io
import json
import sys
import tempfile
import time
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
from rmpe_spm.coco.evaluation import evaluate_keypoints
from rmpe_spm.coco.metric import PoseNMSCocoMetric
from rmpe_spm.coco.results import check_results
from rmpe_spm.markdown import markdown_table

sys.path.append(str(Path(__file__).parents[2] / 'tests/helpers'))

from coco_samples import samples_of  # noqa: E402

DATASETS = {
    'coco': ('keypoints', True),
    'ochuman': ('keypoints', True),
    'crowdpose': ('keypoints_crowd', False),
}


def repeat(entries: list[dict], copies: int, steps: dict) -> list[dict]:
    """Entries again and again, with ids that grow by steps."""
    return [
        entry
        | {k: entry[k] + i * step for k, step in steps.items() if k in entry}
        for i in range(copies)
        for entry in entries
    ]


def evaluators(
    path: str, meta: dict, iou_type: str, use_area: bool
) -> list[Callable]:
    """What makes numbers of results; annotations are indexed before."""
    annotations = json.loads(Path(path).read_text())
    reference, library = COCO(path), faster_coco_eval.COCO(path)
    sigmas = meta['sigmas']

    def by_xtcocotools(results: list[dict]) -> np.ndarray:
        found = reference.loadRes(path, results)
        evaluation = COCOeval(reference, found, iou_type, sigmas, use_area)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats

    def by_faster_coco_eval(results: list[dict]) -> np.ndarray:
        evaluation = COCOeval_faster(
            library,
            library.loadRes(results),
            iou_type,
            kpt_oks_sigmas=sigmas,
            use_area=use_area,
        )
        evaluation.run()
        return np.array(evaluation.all_stats)

    def by_rmpe_spm(results: list[dict]) -> np.ndarray:
        known = KeypointAnnotations(annotations)
        known.check_evaluation(len(sigmas), use_area, iou_type)
        images = {image['id'] for image in known.images}
        categories = {each['id'] for each in known.categories}
        check_results(results, len(sigmas), images, categories)
        numbers = evaluate_keypoints(
            annotations, results, sigmas, iou_type, use_area
        )
        return np.array(list(numbers.values()))

    return [by_xtcocotools, by_faster_coco_eval, by_rmpe_spm]


def metrics(
    path: str, meta: dict, nms_mode: str = 'none', **options: object
) -> list[Callable]:
    """What makes numbers of predictions: mmpose's metric, and ours."""

    def evaluate(metric: CocoMetric) -> Callable:
        metric.dataset_meta = dict(meta)

        def numbers(samples: list[dict]) -> np.ndarray:
            metric.process({}, samples)
            return np.array(list(metric.evaluate(len(samples)).values()))

        return numbers

    return [
        evaluate(metric(path, nms_mode=nms_mode, **options))
        for metric in (CocoMetric, PoseNMSCocoMetric)
    ]


def race(runners: list[Callable], content: object, repeats: int) -> str:
    """Let them take turns on copies of the same; describe the best times."""
    best, numbers = np.full(len(runners), np.inf), [None] * len(runners)
    for _ in range(repeats):
        for place, run in enumerate(runners):
            own = copy.deepcopy(content)
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                numbers[place] = run(own)
            seconds = time.perf_counter() - start
            best[place] = min(best[place], seconds)
    differences = [np.abs(each - numbers[0]).max() for each in numbers[1:]]
    return (
        ' '.join(f'{1000 * seconds:9.1f}' for seconds in best)
        + ' ms | '
        + ' '.join(f'{best[0] / each:.1f}x' for each in best[1:])
        + ' | '
        + ' '.join(f'{each:.1e}' for each in differences)
    )


def compare(
    path: str, meta: dict, poses: list[dict], options: dict
) -> list[list[str]]:
    """Rows of each library's AP beside ours, and how far any number is."""
    poses = [dict(pose, score=round(pose['score'], 1)) for pose in poses]
    samples = samples_of(poses)
    rows = []
    with contextlib.redirect_stdout(io.StringIO()):
        *libraries, own = evaluators(path, meta, **options)
        names = ('xtcocotools', 'faster-coco-eval')
        pairs = [
            (name, library, own, poses)
            for name, library in zip(names, libraries, strict=True)
        ]
        for mode in ('none', 'oks_nms', 'soft_oks_nms'):
            both = metrics(path, meta, mode, **options)
            pairs.append((f'CocoMetric, {mode}', *both, samples))
        for name, library, own, content in pairs:
            theirs, ours = (
                run(copy.deepcopy(content)) for run in (library, own)
            )
            apart = f'{np.abs(theirs - ours).max():.0e}'
            rows.append([name, f'{theirs[0]:.6f}', f'{ours[0]:.6f}', apart])
    return rows


def main() -> None:
    MMLogger.get_instance('benchmark', log_level='ERROR')
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('annotations', type=Path)
    parser.add_argument('results', type=Path)
    parser.add_argument('--dataset', choices=DATASETS, default='coco')
    parser.add_argument(
        '--copies',
        type=int,
        nargs='+',
        default=[1],
        help='how often the images and all they have are taken',
    )
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    iou_type, use_area = DATASETS[args.dataset]
    config = f'configs/_base_/datasets/{args.dataset}.py'
    meta = parse_pose_metainfo(dict(from_file=config))
    content = json.loads(args.annotations.read_text())
    results = json.loads(args.results.read_text())
    step = {'image_id': 1 + max(image['id'] for image in content['images'])}
    ids = {'id': 1 + max(each['id'] for each in content['annotations'])}
    rows = []
    print('times | as fast as the first | differences of the numbers from it')
    for copies in args.copies:
        images = repeat(content['images'], copies, {'id': step['image_id']})
        people = repeat(content['annotations'], copies, step | ids)
        poses = repeat(results, copies, step | ids)
        data = dict(content, images=images, annotations=people)
        print(f'{args.dataset}: {len(images)} images, {len(poses)} poses')
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump(data, file)
            file.flush()
            options = dict(iou_type=iou_type, use_area=use_area)
            with contextlib.redirect_stdout(io.StringIO()):
                runners = evaluators(file.name, meta, **options)
                whole = metrics(file.name, meta, **options)
            rows = rows or compare(file.name, meta, poses, options)
            print('  xtcocotools, faster-coco-eval, rmpe_spm:')
            print(f'    {race(runners, poses, args.repeats)}')
            print('  CocoMetric, PoseNMSCocoMetric:')
            print(f'    {race(whole, samples_of(poses), args.repeats)}')
    head = ['by', 'its AP', 'AP of rmpe_spm', 'largest difference']
    print(markdown_table(head, rows))


if __name__ == '__main__':
    main()
