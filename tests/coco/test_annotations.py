"""Good files pass without a word; of bad ones the first bad entry is named."""

import json
import math
import re

import pytest

from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.errors import ConfigError

NAN = float('nan')


def content():
    """Three people of two joints on two images of 20x10."""
    people = [
        dict(
            id=name,
            image_id=image,
            category_id=1,
            bbox=[1, 1, 5, 5],
            area=20,
            keypoints=[1, 2, 2, 3, 4, 1],
            num_keypoints=2,
        )
        for name, image in ((10, 4), (11, 5), (12, 5))
    ]
    images = [
        dict(id=i, file_name=f'{i}.jpg', width=20, height=10, crowdIndex=0.5)
        for i in (4, 5)
    ]
    category = dict(id=1, name='person', keypoints=['nose', 'tail'])
    return dict(images=images, annotations=people, categories=[category])


def edited(key, values, *places):
    """The content with some values of entries; None takes one away."""
    changed = content()
    for place in places:
        entry = changed[key][place]
        entry.update(values)
        for name in [n for n, value in values.items() if value is None]:
            del entry[name]
    return changed


def notes(changed):
    """What is said of a file that is trained on."""
    annotations = KeypointAnnotations(changed, 'file')
    annotations.check_dataset(('nose', 'tail'))
    return annotations.training_notes()


def evaluable(changed, num_keypoints=2, **options):
    annotations = KeypointAnnotations(changed, 'file')
    annotations.check_evaluation(num_keypoints, **options)


def test_good_content_passes():
    assert notes(content()) == []
    evaluable(content())
    evaluable(content(), None, iou_type='keypoints_crowd')
    # neither is needed for the other
    bare = edited('images', dict(file_name=None, crowdIndex=None), 0, 1)
    evaluable(bare)
    bare = edited('annotations', dict(area=None, num_keypoints=None), 0, 1, 2)
    assert notes(bare) == []


def test_files(tmp_path):
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(content()))
    annotations = KeypointAnnotations.read(path)
    assert annotations.people == content()['annotations']
    assert annotations.source == str(path)
    with pytest.raises(FileNotFoundError, match=r'absent\.json'):
        KeypointAnnotations.read(tmp_path / 'absent.json')
    for data in (b'', b'{"images": [', b'\xff\xfe\x00'):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=r'people\.json is not a JSON'):
            KeypointAnnotations.read(path)


@pytest.mark.parametrize('bad', [[], {}, None, [1, 2], dict(images=3)])
def test_no_annotations_at_all(bad):
    with pytest.raises(ConfigError, match="^file .* has no list 'images'"):
        KeypointAnnotations(bad, 'file')


def test_lists_that_are_missing():
    """A list of a test server's images has no annotations."""
    images = KeypointAnnotations(dict(images=content()['images']), 'file')
    assert images.annotations == images.categories == images.people == []
    with pytest.raises(ConfigError, match="no list 'annotations'"):
        images.check_evaluation()
    with pytest.raises(ConfigError, match="no list 'categories'"):
        images.check_dataset(('nose', 'tail'))
    images.content['categories'] = content()['categories']
    images.check_dataset(('nose', 'tail'))
    with pytest.raises(ConfigError, match="no list 'annotations'"):
        images.training_notes()


@pytest.mark.parametrize(
    'key, name, said',
    [
        ('images', 'id', 'image number 1'),
        ('annotations', 'id', r'annotation number 1 \(image 5\)'),
        ('annotations', 'image_id', 'annotation number 1'),
        ('annotations', 'category_id', r'number 1 \(image 5\)'),
        ('categories', 'id', 'category number 1'),
    ],
)
@pytest.mark.parametrize('value', [None, [4]])
def test_entries_without_ids(key, name, said, value):
    changed = content()
    changed['categories'].append(dict(id=2))
    for entry in changed[key][1:]:
        entry[name] = value
    with pytest.raises(ConfigError, match=f'^file: .*{said} has the {name} '):
        KeypointAnnotations(changed, 'file')
    changed[key][0] = 3
    with pytest.raises(ConfigError, match='number 0 is 3, not an object'):
        KeypointAnnotations(changed, 'file')


@pytest.mark.parametrize(
    'values, said',
    [
        (dict(width=None), 'the width None, not a number of pixels'),
        (dict(width='wide'), r"\(5\.jpg\) .* width 'wide', not"),
        (dict(height=0), 'the height 0, not'),
        (dict(file_name=None), 'the file_name None, .* not a text'),
    ],
)
def test_images_that_cannot_be_loaded(values, said):
    with pytest.raises(ConfigError, match=f'^file: image 5 .*{said}'):
        notes(edited('images', values, 1))


BAD_PEOPLE = [
    (dict(bbox=None), 'the bbox None, not 4'),
    (dict(bbox=[1, 2, 3]), r'the bbox \[1, 2, 3\], not 4'),
    (dict(bbox=['a', 1, 2, 3]), 'bbox'),
    (dict(keypoints=7), 'no list of .*numbers as keypoints'),
    (dict(keypoints=[1, None, 2, 3, 4, 1]), 'no list of .*numbers as'),
    (dict(keypoints=[1] * 9), '9 numbers as keypoints, but 6 are needed'),
    (dict(keypoints=[1, 2, 2, 3]), '4 numbers as keypoints, but 6'),
]


@pytest.mark.parametrize('check', [notes, evaluable])
@pytest.mark.parametrize('values, said', BAD_PEOPLE)
def test_people_that_nothing_can_be_done_with(check, values, said):
    with pytest.raises(
        ConfigError, match=f'^file: annotation 11 of image 5 has .*{said}'
    ):
        check(edited('annotations', values, 1, 2))


def test_people_of_other_images():
    """The evaluation leaves them out, whatever they are."""
    with pytest.raises(ConfigError, match='11 of image 9 .* does not list'):
        notes(edited('annotations', dict(image_id=9), 1))
    evaluable(edited('annotations', dict(image_id=9, id=10, bbox=[]), 1))


@pytest.mark.parametrize('names', [['Nose', 'Tail'], ['a'], [], 'x', None])
def test_names_of_joints_may_differ(names):
    changed = content()
    changed['categories'][0]['keypoints'] = names
    assert notes(changed) == []


def test_joints_in_another_order():
    changed = content()
    changed['categories'][0]['keypoints'] = ['tail', 'nose']
    with pytest.raises(ConfigError, match="keypoint 0 is 'tail' .* 'nose'"):
        notes(changed)


def test_boxes_without_keypoints_are_the_wrong_file():
    with pytest.raises(ConfigError, match='person_keypoints_'):
        notes(edited('annotations', dict(keypoints=None), 0, 1, 2))
    # beside people of other annotations they are left out
    assert len(notes(edited('annotations', dict(keypoints=None), 0))) == 1


@pytest.mark.parametrize('people', [[], [dict(keypoints=[0] * 6)]])
def test_nobody_to_train_on(people):
    changed = edited('annotations', dict(keypoints=[0] * 6), 0, 1, 2)
    changed['annotations'] = changed['annotations'][: len(people)]
    evaluable(changed)
    with pytest.raises(ConfigError, match='nobody has a visible keypoint'):
        notes(changed)


@pytest.mark.parametrize(
    'values, said',
    [
        (dict(bbox=[1, 1, 0, 5]), 'an empty box'),
        (dict(bbox=[1, 1, 5, -2]), 'an empty box'),
        (dict(bbox=[1, NAN, 5, 5]), 'an empty box or one that is not finite'),
        (dict(bbox=[20, 1, 5, 5]), 'a box outside .* SanitizeInstances'),
        (dict(bbox=[1, -6, 5, 5]), 'a box outside'),
        (dict(bbox=[-5, 1, 5, 5]), 'a box outside'),
        (dict(keypoints=[1, NAN, 0, 3, 4, 1]), 'not finite.*SanitizeInst'),
        (dict(keypoints=[20.5, 2, 2, 3, 4, 1]), 'visible keypoints outside'),
        (dict(keypoints=[1, -1, 1, 3, 4, 1]), 'visible keypoints outside'),
        (dict(keypoints=[1, 2, 0, 3, 4, 0]), 'no visible keypoint'),
    ],
)
def test_what_training_leaves_out_is_noted(values, said):
    (note,) = notes(edited('annotations', values, 1, 2))
    assert note.startswith('file: 2 of 3 annotations have ')
    assert re.search(said, note)
    assert note.endswith('(first: annotation 11 of image 5)')
    # crowds are no people
    assert notes(edited('annotations', dict(values, iscrowd=1), 1, 2)) == []


@pytest.mark.parametrize(
    'values',
    [
        dict(keypoints=[20, 10, 2, 0, 0, 1]),  # on the border
        dict(keypoints=[1, 2, 2, 50, 50, 0]),  # not visible outside of it
        dict(bbox=[19, -4, 5, 5]),
    ],
)
def test_people_at_the_border_need_no_note(values):
    assert notes(edited('annotations', values, 0)) == []


def test_images_without_people_are_noted():
    changed = edited('annotations', dict(iscrowd=1), 0)
    changed['images'] += [dict(changed['images'][0], id=i) for i in (3, 2)]
    (note,) = notes(changed)
    assert note.startswith('file: nobody is annotated in 2 of 4 images')
    assert note.endswith('(first: image 3)')


@pytest.mark.parametrize('iou_type', ['keypoints', 'keypoints_crowd'])
@pytest.mark.parametrize(
    'values, said',
    [
        (dict(keypoints=None), 'no list of finite numbers as keypoints'),
        (dict(keypoints=[NAN] * 6), 'no list of finite numbers as keypoints'),
        (dict(bbox=[1, 2, 3, NAN]), 'not 4 finite numbers'),
        (dict(id=10), 'the id of annotation number 0'),
        (dict(area=None), 'the area None, not a .*use_area=False'),
        (dict(area=0), 'the area 0, at which'),
        (dict(area=math.nan), 'the area nan, not a number'),
    ],
)
def test_people_that_oks_is_not_defined_for(values, said, iou_type):
    changed = edited('annotations', values, 1, 2)
    with pytest.raises(
        ConfigError, match=f'^file: annotation 1. of image 5 has .*{said}'
    ):
        evaluable(changed, iou_type=iou_type)


def test_nobody_to_find_needs_no_area():
    values = dict(iscrowd=1, area=0)
    evaluable(edited('annotations', values, 0))
    values = dict(keypoints=[0] * 6, area=0)
    evaluable(edited('annotations', values, 0))


def test_without_areas_a_part_of_the_box_is_taken():
    evaluable(edited('annotations', dict(area=None), 0, 1, 2), use_area=False)
    changed = edited('annotations', dict(area=None, bbox=[1, 2, 0, 3]), 2)
    with pytest.raises(ConfigError, match='annotation 12 .* box .* is empty'):
        evaluable(changed, use_area=False)


def test_fields_of_crowdpose():
    for key, values, said in (
        ('images', dict(crowdIndex=None), 'image 5 has no crowdIndex'),
        ('annotations', dict(num_keypoints=None), '11 .* no num_keypoints'),
    ):
        changed = edited(key, values, 1)
        evaluable(changed)
        with pytest.raises(ConfigError, match=said):
            evaluable(changed, iou_type='keypoints_crowd')
    with pytest.raises(ConfigError, match="iou_type must be .*'bbox'"):
        evaluable(content(), iou_type='bbox')
