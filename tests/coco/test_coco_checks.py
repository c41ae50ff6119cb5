"""Every kind of bad input has a message that names the first entry."""

import copy
import math

import pytest

from rmpe_spm.coco import result_checks as coco_checks
from rmpe_spm.coco.result_checks import (
    LISTS,
    check_annotations,
    check_layout,
    check_results,
    check_scored,
)

PEOPLE = dict(
    images=[dict(id=5, crowdIndex=0.1), dict(id=6, crowdIndex=1)],
    annotations=[
        dict(
            id=name,
            image_id=image,
            category_id=1,
            bbox=[1, 2, 10, 20.5],
            area=50,
            keypoints=[1, 2, 2, 3, 4, 0],
            num_keypoints=1,
        )
        for name, image in ((1, 5), (2, 6), (3, 6))
    ],
)
POSES = [
    dict(
        image_id=image,
        category_id=1,
        keypoints=[1, 8, 0.5, 7, 4, 0.25],
        score=0.7,
        bbox=[0, 1, 5, 6],
    )
    for image in (5, 6, 6)
]


def changed(entry, values):
    """The entry with some values, without those that are None."""
    entry.update(values)
    for key in [key for key, value in values.items() if value is None]:
        del entry[key]


@pytest.mark.parametrize('crowd', [False, True])
@pytest.mark.parametrize(
    'values,message',
    [
        (dict(id=1), 'annotation 1 of image 6 has the same id as number 0'),
        (dict(id=None), r'annotation number 1 \(image 6\) has no id'),
        (dict(area=None), 'annotation 2 of image 6 has no area.*use_area=Fal'),
        (dict(area=0), 'annotation 2 of image 6 has the area 0'),
        (dict(area=math.nan), 'annotation 2 of image 6 has the area nan'),
        (dict(bbox=None), 'annotation 2 of image 6 has no bbox'),
        (dict(bbox=[1, 2, 3]), 'annotation 2 of image 6 has no bbox'),
        (dict(keypoints=None), 'annotation 2 of image 6 has no list of fin'),
        (dict(keypoints=[math.nan] * 6), 'annotation 2 of image 6 has no li'),
        (dict(keypoints=[1] * 9), 'annotation 2 of image 6 has 9 numbers'),
    ],
)
def test_annotations(values, message, crowd):
    annotations = copy.deepcopy(PEOPLE)
    iou_type = 'keypoints_crowd' if crowd else 'keypoints'
    check_annotations(annotations, 2, iou_type=iou_type)
    changed(annotations['annotations'][1], values)
    # the first is named
    changed(annotations['annotations'][2], values)
    with pytest.raises(ValueError, match='^file: ' + message):
        check_annotations(annotations, 2, iou_type=iou_type, source='file')


def test_annotations_that_are_fine():
    annotations = copy.deepcopy(PEOPLE)
    first, second, third = annotations['annotations']
    # nobody to find, so the area doesn't matter
    first.update(iscrowd=1, area=0)
    second.update(keypoints=[0] * 6, area=0)
    # left out, as the evaluation does
    third.update(image_id=7, id=1)
    check_annotations(annotations, 2)
    check_annotations(annotations)


def test_annotations_without_areas():
    annotations = copy.deepcopy(PEOPLE)
    for person in annotations['annotations']:
        del person['area']
    check_annotations(annotations, 2, use_area=False)
    annotations['annotations'][2]['bbox'] = [1, 2, 0, 3]
    with pytest.raises(ValueError, match='annotation 3 .* has an empty box'):
        check_annotations(annotations, 2, use_area=False)


def test_crowdpose_fields():
    annotations = copy.deepcopy(PEOPLE)
    del annotations['images'][1]['crowdIndex']
    del annotations['annotations'][1]['num_keypoints']
    check_annotations(annotations, 2)
    for message in (
        'image 6 has no crowdIndex',
        'annotation 2 of image 6 has no num_keypoints',
    ):
        with pytest.raises(ValueError, match=message):
            check_annotations(annotations, 2, iou_type='keypoints_crowd')
        annotations['images'][1]['crowdIndex'] = 1.0
    with pytest.raises(ValueError, match="iou_type must be .*'bbox'"):
        check_annotations(annotations, 2, iou_type='bbox')


@pytest.mark.parametrize(
    'key,name,message',
    [
        ('images', 'id', 'image number 1 has no id'),
        ('annotations', 'id', r'annotation number 1 \(image 6\) has no id'),
        ('annotations', 'image_id', 'annotation number 1 has no image_id'),
        (
            'annotations',
            'category_id',
            r'number 1 \(image 6\) has no category',
        ),
        ('categories', 'id', 'category number 1 has no id'),
    ],
)
def test_entries_without_names(key, name, message):
    content = dict(PEOPLE, categories=[dict(id=1), dict(id=2)])
    content = copy.deepcopy(content)
    check_layout(content, LISTS)
    for entry in content[key][1:]:
        del entry[name]
    with pytest.raises(ValueError, match='^file: .*' + message):
        check_layout(content, LISTS, 'file')
    content[key][0] = 3
    with pytest.raises(ValueError, match='number 0 is 3, not an object'):
        check_layout(content, LISTS)


def test_poses_without_a_positive_score(monkeypatch):
    said = []
    monkeypatch.setattr(
        coco_checks, 'print_log', lambda text, *_, **__: said.append(text)
    )
    results = copy.deepcopy(POSES)
    check_scored(results)
    assert said == []
    results[1]['keypoints'][2::3] = [0, 0]
    results[2]['keypoints'][2::3] = [0, -0.5]
    check_scored(results, 'file')
    (text,) = said
    assert text.startswith('file: 2 of 3 poses have no joint with a score')
    assert 'result 1, image 6' in text
    results[0]['keypoints'][2::3] = [0, 0]
    with pytest.raises(ValueError, match='3 of 3 .* image 5.*no pose is left'):
        check_scored(results)
    check_scored(results, strict=False)
    assert 'no pose is left, and AP would be 0' in said[1]


def test_ids_of_results():
    results = [dict(each, id=i) for i, each in enumerate(POSES)]
    check_results(results, 2)
    results[2]['id'] = 0
    with pytest.raises(
        ValueError, match=r'result 2 \(image 6\) has the id 0 of result 0'
    ):
        check_results(results, 2)


@pytest.mark.parametrize('content', [[], {}, dict(images=[]), None])
def test_no_annotations(content):
    with pytest.raises(ValueError, match='file: no COCO annotations'):
        check_annotations(content, source='file')


@pytest.mark.parametrize(
    'values,message',
    [
        (dict(image_id=7), r'\(image 7\) is for an image that .* not list'),
        (dict(image_id=None), r'\(image None\) has no image_id'),
        (dict(category_id=2), r'\(image 6\) is of category 2'),
        (dict(category_id=None), r'\(image 6\) has no category_id'),
        (dict(score=None), r'\(image 6\) has no score'),
        (dict(score=math.nan), r'\(image 6\) has the score nan'),
        (dict(score='0.5'), r'\(image 6\) has the score 0.5'),
        (dict(keypoints=None), r'\(image 6\) needs 2 times .* has no numbers'),
        (dict(keypoints=[1] * 9), r'\(image 6\) needs 2 .* has 9 numbers'),
        (
            dict(keypoints=[1, 2, 0.5, 3, math.nan, 0.5]),
            r'\(image 6\) has nan as y of joint 1',
        ),
        (
            dict(keypoints=[1, 2, math.inf, 3, -math.inf, 0.5]),
            r'\(image 6\) has inf as score of joint 0',
        ),
        (
            dict(keypoints=[1, 2, 1, None, 4, 0.5]),
            r'\(image 6\) has None as x of joint 1',
        ),
        (dict(bbox=[0, 1, math.nan, 2]), r'\(image 6\) has the bbox'),
        (dict(bbox=[0, 1]), r'\(image 6\) has the bbox'),
    ],
)
def test_results(values, message):
    results = copy.deepcopy(POSES)
    check_results(results, 2, {5, 6}, {1})
    for place in (1, 2):
        changed(results[place], values)
    with pytest.raises(ValueError, match='^file: result 1 ' + message):
        check_results(results, 2, {5, 6}, {1}, source='file')


def test_results_that_are_fine():
    results = copy.deepcopy(POSES)
    results[0].update(image_id=99, bbox=[])
    del results[1]['category_id'], results[1]['bbox']
    # the sum of finite numbers may not be finite
    results[2]['keypoints'][:2] = [1.7e308, 1.7e308]
    check_results(results, 2)


def test_no_results():
    with pytest.raises(ValueError, match='file: empty'):
        check_results([], 2, source='file')
    with pytest.raises(ValueError, match='file: not a list .* but dict'):
        check_results({}, 2, source='file')
    with pytest.raises(ValueError, match=r'result 0 \(image \?\)'):
        check_results([3], 2)
