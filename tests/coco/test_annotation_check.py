import json

import pytest

from rmpe_spm.coco.validation import check_coco_annotations, check_detections
from rmpe_spm.errors import ConfigError

JOINTS = ('nose', 'tail')


def _content():
    """Two people of two joints on one image."""
    people = [
        dict(
            id=number,
            image_id=4,
            category_id=1,
            bbox=[1, 1, 5, 5],
            keypoints=[1, 2, 2, 3, 4, 1],
        )
        for number in (10, 11)
    ]
    image = dict(id=4, file_name='4.jpg', width=9, height=9)
    return dict(
        images=[image], annotations=people, categories=[dict(id=1, name='p')]
    )


def _check(tmp_path, content, evaluated=False):
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    return check_coco_annotations(path, JOINTS, evaluated)


def test_good_file_passes_without_a_word(tmp_path):
    assert _check(tmp_path, _content()) == []


def test_no_people_can_be_evaluated_but_not_trained_on(tmp_path):
    content = dict(_content(), annotations=[])
    assert _check(tmp_path, content, evaluated=True) == []
    with pytest.raises(ConfigError, match='nothing to train on'):
        _check(tmp_path, content)
    content = _content()
    for annotation in content['annotations']:
        annotation['keypoints'] = [0] * 6
    assert _check(tmp_path, content, evaluated=True) == []
    with pytest.raises(ConfigError, match='nobody has a visible keypoint'):
        _check(tmp_path, content)


def test_what_makes_oks_wrong_is_refused(tmp_path):
    content = _content()
    _edit(keypoints=[float('nan'), 2, 2, 3, 4, 1])(content)
    with pytest.raises(ConfigError, match='annotation 11 of image 4 has keyp'):
        _check(tmp_path, content, evaluated=True)
    content = _content()
    content['annotations'][0]['id'] = content['annotations'][1]['id']
    with pytest.raises(ConfigError, match='the id of another one'):
        _check(tmp_path, content, evaluated=True)
    # training does not look at ids
    assert _check(tmp_path, content) == []
    # and boxes are not compared with poses
    content = _content()
    _edit(bbox=[1, 1, 0, 5])(content)
    assert _check(tmp_path, content, evaluated=True) == []


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match='absent.json does not exist'):
        check_coco_annotations(tmp_path / 'absent.json', JOINTS)


@pytest.mark.parametrize('data', [b'', b'{"images": [', b'\xff\xfe\x00'])
def test_no_json(tmp_path, data):
    path = tmp_path / 'cut.json'
    path.write_bytes(data)
    for check in (
        lambda p: check_coco_annotations(p, JOINTS),
        check_detections,
    ):
        with pytest.raises(ConfigError, match=r'cut\.json is no JSON'):
            check(path)


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_missing_part(tmp_path, key):
    content = _content()
    del content[key]
    with pytest.raises(ConfigError, match=f'no list {key!r}'):
        _check(tmp_path, content)
    with pytest.raises(ConfigError, match='no object'):
        _check(tmp_path, [1, 2])


def _edit(**changes):
    def edit(content):
        content['annotations'][1].update(changes)

    return edit


@pytest.mark.parametrize(
    'edit, said',
    [
        (lambda c: c['images'][0].pop('width'), r"images\[0\] lacks 'width'"),
        (
            lambda c: c['annotations'][1].pop('bbox'),
            "annotation number 1 lacks 'bbox'",
        ),
        (
            lambda c: c['annotations'][1].pop('category_id'),
            "annotation number 1 lacks 'category_id'",
        ),
        (lambda c: c['images'][0].update(id=[4]), "'id' is no number: .4"),
        (
            lambda c: c['images'][0].update(file_name=None),
            "'file_name' is no text: None",
        ),
        (
            lambda c: c['images'][0].update(width='wide'),
            r"4\.jpg.*'width' is no number of pixels: 'wide'",
        ),
        (
            lambda c: c['images'][0].update(height=0),
            "'height' is no number of pixels: 0",
        ),
        (_edit(image_id=[4]), "number 1: 'image_id' is no number"),
        (_edit(image_id=9), '11 belongs to image 9, which is not'),
        (_edit(bbox=[1, 2, 3]), '11: the box has 3 numbers'),
        (_edit(bbox=['a', 1, 2, 3]), "11: 'bbox' is no list of numbers"),
        (_edit(keypoints=None), "11: 'keypoints' is no list of numbers"),
        (_edit(keypoints=[1, 2, 2]), r'11 .*3 keypoint numbers.* needs 6'),
        (_edit(keypoints=[1, 2, 2, 3]), r'4 keypoint numbers.* needs 6'),
    ],
)
def test_first_bad_entry_is_named(tmp_path, edit, said):
    content = _content()
    edit(content)
    with pytest.raises(ConfigError, match=said) as caught:
        _check(tmp_path, content)
    assert 'annotations.json' in str(caught.value)


def test_joints_in_another_order(tmp_path):
    content = _content()
    category = content['categories'][0]
    for names in (['nose', 'tail'], ['Nose', 'Tail'], ['a'], [], 'x', None):
        category['keypoints'] = names
        assert _check(tmp_path, content) == []
    category['keypoints'] = ['tail', 'nose']
    with pytest.raises(ConfigError, match="'tail' as keypoint 0, .*'nose'"):
        _check(tmp_path, content)


def test_boxes_without_keypoints_are_the_wrong_file(tmp_path):
    content = _content()
    for annotation in content['annotations']:
        del annotation['keypoints']
    with pytest.raises(ConfigError, match='person_keypoints_'):
        _check(tmp_path, content)


@pytest.mark.parametrize(
    'edit, said',
    [
        (_edit(bbox=[1, 1, 0, 5]), 'box that is empty'),
        (_edit(bbox=[1, 1, 5, -2]), 'box that is empty'),
        (_edit(bbox=[1, float('nan'), 5, 5]), 'box that is empty'),
        (_edit(keypoints=[float('inf'), 2, 2, 3, 4, 1]), 'SanitizeInstances'),
        (_edit(bbox=[9, 1, 5, 5]), 'a box outside'),
        (_edit(bbox=[1, -6, 5, 5]), 'a box outside'),
        (_edit(keypoints=[1, 9.5, 2, 3, 4, 1]), 'keypoints outside'),
        (_edit(keypoints=[0] * 6), 'no visible keypoint'),
    ],
)
def test_what_training_leaves_out_is_noted(tmp_path, edit, said):
    content = _content()
    edit(content)
    (note,) = _check(tmp_path, content)
    assert said in note
    assert '1 of 2 annotations' in note
    assert 'annotation 11 of image 4' in note
    # Crowd regions are no people.
    content['annotations'][1]['iscrowd'] = 1
    assert _check(tmp_path, content) == []


def test_detections(tmp_path):
    path = tmp_path / 'boxes.json'
    good = dict(image_id=1, category_id=1, bbox=[0, 0, 1, 1], score=0.5)
    path.write_text(json.dumps([good]))
    check_detections(path)
    path.write_text(json.dumps([good, {}]))
    with pytest.raises(ConfigError, match='detection 1 lacks'):
        check_detections(path)
    for score in (None, 'high', float('nan')):
        path.write_text(json.dumps([good, dict(good, score=score)]))
        with pytest.raises(ConfigError, match='detection 1 .*finite score'):
            check_detections(path)
    for nobody in ([], [dict(good, category_id=2)]):
        path.write_text(json.dumps(nobody))
        with pytest.raises(ConfigError, match='no detection of a person'):
            check_detections(path)
    path.write_text(json.dumps([dict(good, image_id=[1])]))
    with pytest.raises(ConfigError, match="0: 'image_id' is no number"):
        check_detections(path)
    path.write_text(json.dumps({'annotations': []}))
    with pytest.raises(ConfigError, match='no list of detections'):
        check_detections(path)
