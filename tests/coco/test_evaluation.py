"""COCO's and CrowdPose's numbers beside xtcocotools', all equal."""

import copy
import json

import numpy as np
import pytest
from coco_samples import crowded, reference_evaluation

from rmpe_spm.coco.evaluation import (
    CROWD_NAMES,
    NAMES,
    evaluate_files,
    evaluate_keypoints,
)
from rmpe_spm.errors import ConfigError
from rmpe_spm.oks import COCO_SIGMAS

SIGMAS = np.array(COCO_SIGMAS, dtype=np.float32)
CROWD_SIGMAS = np.array(
    [0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
     0.089, 0.089, 0.079, 0.079], dtype=np.float32,
)  # fmt: skip


@pytest.fixture
def equal(tmp_path):
    def equal_(annotations, results, sigmas=SIGMAS, **options):
        before = copy.deepcopy([annotations, results])
        found = evaluate_keypoints(annotations, results, sigmas, **options)
        assert [annotations, results] == before
        crowd = options.get('iou_type') == 'keypoints_crowd'
        expected, _ = reference_evaluation(
            annotations, results, sigmas, **options, folder=tmp_path
        )
        assert tuple(found) == (CROWD_NAMES if crowd else NAMES)
        assert list(found.values()) == pytest.approx(expected, abs=1e-12)
        return found

    return equal_


@pytest.mark.parametrize(
    'annotations,results,ap',
    [
        ('example_coco_val', 'example_coco_preds', 0.860890),
        ('coco_val_subset250', 'lightweight_openpose_results', 0.378549),
    ],
)
@pytest.mark.parametrize('use_area', [True, False])
def test_coco(equal, fixture_files, annotations, results, ap, use_area):
    found = equal(*fixture_files(annotations, results), use_area=use_area)
    assert (round(found['AP'], 6) == ap) is use_area


def test_crowdpose(equal, fixture_files):
    annotations, results = fixture_files(
        'example_crowdpose_val', 'example_crowdpose_preds'
    )
    options = dict(iou_type='keypoints_crowd', use_area=False)
    found = equal(annotations, results, CROWD_SIGMAS, **options)
    assert round(found['AP'], 4) == 0.7877
    assert [found[f'AP({x})'] for x in 'EMH'] == [1.0, 0.9802, 0.4116]
    for image in annotations['images']:
        image['crowdIndex'] = 0.2
    found = equal(annotations, results, CROWD_SIGMAS, **options)
    assert [found[f'AP({x})'] for x in 'EMH'] == [
        -1, round(found['AP'], 4), -1
    ]  # fmt: skip


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('iou_type', ['keypoints', 'keypoints_crowd'])
@pytest.mark.parametrize('use_area', [True, False])
def test_people_in_crowds(equal, seed, iou_type, use_area):
    """Categories, boxes, odd ids, poses of scores 0, counts of joints."""
    annotations, results = crowded(seed)
    rng = np.random.default_rng(seed)
    annotations['categories'] = [dict(id=9, name='')]
    annotations['images'].reverse()
    for image in annotations['images']:
        image['crowdIndex'] = float(rng.choice([0.1, 0.2, 0.5, 0.8, 1.0]))
    for entry in annotations['annotations']:
        entry['id'] = entry['id'] * 7 + 1
        entry['category_id'] = 9
        entry['num_keypoints'] = int(rng.integers(0, 3))
        entry['bbox'][2:] = rng.uniform(20, 200, 2).tolist()
        entry['area'] = float(rng.uniform(300, 30000))
    boxes = seed % 2
    for result in results:
        result['category_id'] = int(rng.choice([1, 9], p=[0.8, 0.2]))
        if rng.random() < 0.1:
            result['keypoints'][2::3] = [0] * 17
        if boxes:
            result['bbox'] = [0, 0, *rng.uniform(10, 2e6, 2).tolist()]
    found = equal(annotations, results, iou_type=iou_type, use_area=use_area)
    assert found['AP'] > 0.01


def test_no_results_and_nobody_annotated(equal):
    annotations, results = crowded(0)
    found = equal(annotations, [])
    assert found['AP'] == 0
    annotations['annotations'] = []
    found = equal(annotations, results)
    assert set(found.values()) == {-1}


@pytest.mark.parametrize('sigma', [0, -0.1, np.nan, np.inf])
def test_sigmas_must_be_positive(sigma):
    sigmas = [*SIGMAS[:3], sigma, *SIGMAS[4:]]
    with pytest.raises(
        ConfigError, match=f'sigma of joint 3 is {sigma}.*, not'
    ):
        evaluate_keypoints(*crowded(0), sigmas)


def test_annotations_without_crowd_flag():
    annotations, results = crowded(0)
    for person in annotations['annotations']:
        person['iscrowd'] = 0
    expected = evaluate_keypoints(annotations, results, SIGMAS)
    for person in annotations['annotations']:
        del person['iscrowd'], person['num_keypoints']
    assert evaluate_keypoints(annotations, results, SIGMAS) == expected


@pytest.mark.parametrize(
    'changes, said',
    [
        (dict(keypoints=[1, 2, 0] * 17), 'results.json: .*no pose is left'),
        (dict(image_id=99), r'results.json: result 0 \(image 99'),
        (dict(category_id=2), 'results.json: result 0 .* of category 2'),
        (None, "ann.json .* no list 'categories'"),
    ],
)
def test_files(tmp_path, changes, said):
    annotations, results = crowded(1)
    files = tmp_path / 'ann.json', tmp_path / 'results.json'

    def evaluate():
        for file, content in zip(files, (annotations, results), strict=True):
            file.write_text(json.dumps(content))
        return evaluate_files(*files, SIGMAS)

    assert evaluate() == evaluate_keypoints(annotations, results, SIGMAS)
    if changes is None:
        del annotations['categories']
    for result in results:
        result.update(changes or {})
    with pytest.raises(ValueError, match=said):
        evaluate()
    # the annotations are checked first
    annotations['categories'] = [dict(id=1)]
    annotations['annotations'][1]['area'] = None
    with pytest.raises(ValueError, match='ann.json: annotation 2 of image'):
        evaluate()
