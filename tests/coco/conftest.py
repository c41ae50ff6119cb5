"""xtcocotools as the reference, and data that are hard to evaluate."""

import json

import numpy as np
import pytest
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval


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


@pytest.fixture(scope='session', name='reference_evaluation')
def _reference_evaluation():
    return reference_evaluation


@pytest.fixture(scope='session', name='crowded')
def _crowded():
    return crowded


@pytest.fixture
def logged(monkeypatch):
    """What a module logs from now on."""

    def logged(module):
        lines = []
        monkeypatch.setattr(
            module, 'print_log', lambda text, *_, **__: lines.append(text)
        )
        return lines

    return logged


@pytest.fixture(scope='session')
def fixture_files(shared_dir):
    """Read real annotations and results by their names."""
    folder = shared_dir / 'data' / 'evaluator_fixtures'

    def read(*names):
        return [json.loads((folder / f'{n}.json').read_text()) for n in names]

    read.folder = folder
    return read


@pytest.fixture(scope='session')
def coco_mini(shared_dir):
    """Annotations of photographs, and the results of a good model on them."""
    folder = shared_dir / 'data' / 'coco_mini'
    names = (
        'annotations/person_keypoints_val2017.json',
        'results/yolo11n_pose_val2017.json',
    )
    return [json.loads((folder / name).read_text()) for name in names]


@pytest.fixture(scope='session')
def example(fixture_files):
    """The annotation file and the results of COCO's reference example."""
    (results,) = fixture_files('example_coco_preds')
    return str(fixture_files.folder / 'example_coco_val.json'), results
