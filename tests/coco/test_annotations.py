"""Good files pass without a word; of bad ones the first bad entry is named."""

import json

import pytest

from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.errors import ConfigError

NAN, HUGE = float('nan'), 10**400
ABSENT = object()
NAMES = ('nose', 'tail')


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
    category = dict(id=1, name='person', keypoints=list(NAMES))
    return dict(images=images, annotations=people, categories=[category])


def edited(key, values, *places):
    """The content with some values of entries, or without them."""
    changed = content()
    for place in places:
        entry = changed[key][place]
        entry.update(values)
        for name in [n for n, value in values.items() if value is ABSENT]:
            del entry[name]
    return changed


def trained(changed):
    annotations = KeypointAnnotations(changed, 'file')
    annotations.check_dataset(NAMES)
    annotations.check_training()


def bottom_up(changed):
    KeypointAnnotations(changed, 'file').check_dataset(NAMES, bottom_up=True)


def evaluated(changed, num_keypoints=2, **options):
    annotations = KeypointAnnotations(changed, 'file')
    annotations.check_evaluation(num_keypoints, **options)


def crowdpose(changed):
    evaluated(changed, iou_type='keypoints_crowd')


EVERYWHERE = (trained, bottom_up, evaluated, crowdpose)
TO_EVALUATE = (evaluated, crowdpose)


def test_good_content_passes():
    for check in EVERYWHERE:
        check(content())
    evaluated(content(), None)
    # neither is needed for the other
    evaluated(edited('images', dict(file_name=ABSENT, crowdIndex=ABSENT), 0))
    bare = dict(area=ABSENT, num_keypoints=ABSENT)
    trained(edited('annotations', bare, 0, 1, 2))
    # the evaluation leaves people of other images out, whatever they are
    evaluated(edited('annotations', dict(image_id=9, bbox=[]), 1))
    # who is not to be found needs no area
    for values in (dict(iscrowd=1), dict(keypoints=[0] * 6)):
        values.update(area=0, bbox=[1, 1, 0, 0])
        evaluated(edited('annotations', values, 0))
    # names of joints may differ
    for names in (['Nose', 'Tail'], ['a'], [], 'x', None):
        trained(edited('categories', dict(keypoints=names), 0))


def test_files(tmp_path):
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(content()))
    annotations = KeypointAnnotations.read(path)
    assert annotations.people == content()['annotations']
    assert annotations.source == str(path)
    # mmpose's reader would end with a traceback
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    said = r'people\.json is not a JSON.*BOM.*without byte order mark'
    with pytest.raises(ConfigError, match=said):
        KeypointAnnotations.read(path)


@pytest.mark.parametrize(
    'bad, name',
    [
        *((bad, 'images') for bad in ([], {}, None, [1, 2], dict(images=3))),
        (dict(images=[], annotations=None), 'annotations'),
        (dict(images=[], categories={}), 'categories'),
    ],
)
def test_no_annotations_at_all(bad, name):
    with pytest.raises(ConfigError, match=f'^file .* has no list {name!r}'):
        KeypointAnnotations(bad, 'file')


def test_lists_that_are_missing():
    """A list of a test server's images has no annotations."""
    images = KeypointAnnotations(dict(images=content()['images']), 'file')
    assert images.annotations == images.categories == images.people == []
    with pytest.raises(ConfigError, match="no list 'annotations'"):
        images.check_evaluation()
    with pytest.raises(ConfigError, match="no list 'categories'"):
        images.check_dataset(NAMES)
    images.content['categories'] = content()['categories']
    images.check_dataset(NAMES)
    with pytest.raises(ConfigError, match="no list 'annotations'"):
        images.check_training()


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
@pytest.mark.parametrize('value', [None, [4], {}, '4', 4.5, True])
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


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_ids_that_come_twice(key):
    """As in files that were joined."""
    changed = content()
    changed[key].append(changed[key][0])
    number = changed[key][0]['id']
    with pytest.raises(
        ConfigError, match=f'^file: .* number .* has the id {number} of .* 0:'
    ):
        KeypointAnnotations(changed, 'file')


@pytest.mark.parametrize(
    'values, said',
    [
        (dict(width=ABSENT), 'the width None, not a number of pixels'),
        (dict(width='wide'), r"\(5\.jpg\) .* width 'wide', not"),
        (dict(height=0), 'the height 0, not'),
        (dict(height=NAN), 'the height nan, not'),
        (dict(file_name=ABSENT), 'the file_name None, .* not a text'),
    ],
)
def test_images_that_cannot_be_loaded(values, said):
    with pytest.raises(ConfigError, match=f'^file: image 5 .*{said}'):
        trained(edited('images', values, 1))


# by whom, what is said, of which field, of which values
REFUSED = [
    (EVERYWHERE, 'the bbox .*, not 4', 'bbox',
     [ABSENT, None, [1, 2, 3], ['a', 1, 2, 3], [1, 1, HUGE, 5]]),
    (EVERYWHERE, 'no list of .*numbers as keypoints', 'keypoints',
     [7, None, [1, None, 2, 3, 4, 1], [HUGE] * 6]),
    (EVERYWHERE, '[049] numbers as keypoints, but 6 are needed', 'keypoints',
     [[1] * number for number in (0, 4, 9)]),
    (EVERYWHERE, 'the iscrowd .*: it must be 0 or 1', 'iscrowd',
     ['0', None, [], 2, NAN, HUGE]),
    (EVERYWHERE, 'the num_keypoints .*: count the labelled', 'num_keypoints',
     ['2', None, [], NAN, True]),
    (EVERYWHERE, 'labelled keypoints, but num_keypoints 0', 'num_keypoints',
     [0]),
    (EVERYWHERE, 'of category 3, which .* not list', 'category_id', [3]),
    ([trained], '9 is in an image that .* not list', 'image_id', [9]),
    ([bottom_up], 'the segmentation .*: correct it, or give an empty list',
     'segmentation',
     [
         *([[1, 1, 9, value, 9, 9]] for value in (NAN, None, 1e9, -99)),
         'polygon', [1, 2, 3], {}, dict(size=[10, 20]),
         dict(size=[10, 20], counts=[NAN]), dict(counts='a'),
         dict(size=[10.0, 20.0], counts='a'), dict(size=[10, 20], counts=[]),
     ]),
    (TO_EVALUATE, 'no list of finite numbers as keypoints', 'keypoints',
     [ABSENT, [NAN] * 6]),
    (TO_EVALUATE, 'the bbox .* 4 finite numbers', 'bbox', [[1, 2, 3, NAN]]),
    (TO_EVALUATE, 'the area .*, not a number: .*use_area=False', 'area',
     [ABSENT, None, NAN, True, '20', HUGE]),
    (TO_EVALUATE, 'the area .*, at which no pose can .*use_area=False', 'area',
     [0, -20]),
    (TO_EVALUATE, 'the box .*, which is empty, or outside its image', 'bbox',
     [[1, 1, 0, 5], [1, 1, 5, -5], [20, 1, 5, 5], [1, -5, 5, 5]]),
    ([crowdpose], 'no num_keypoints, which CrowdPose needs', 'num_keypoints',
     [ABSENT]),
]  # fmt: skip


@pytest.mark.parametrize(
    'check, said, values',
    [
        (check, said, {field: value})
        for checks, said, field, values in REFUSED
        for value in values
        for check in checks
    ],
)
def test_people_that_are_refused(check, said, values):
    with pytest.raises(
        ConfigError, match=f'^file: annotation 11 of image .*{said}'
    ):
        check(edited('annotations', values, 1))


def test_segmentation_missing_on_some_of_an_image():
    """mmpose joins them to one list if the first person's are a list."""
    square = [[1, 1, 9, 1, 9, 9]]
    bottom_up(edited('annotations', dict(segmentation=square), 0, 2))
    bottom_up(edited('annotations', dict(segmentation=square), 0))
    with pytest.raises(ConfigError, match='12 of image 5 has no segmentation'):
        bottom_up(edited('annotations', dict(segmentation=square), 0, 1))
    trained(edited('annotations', dict(segmentation=square), 0, 1))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_files_of_photographs_pass(shared_dir, split):
    annotations = KeypointAnnotations.read(
        shared_dir
        / f'data/coco_mini/annotations/person_keypoints_{split}2017.json'
    )
    for bottom_up in (False, True):
        annotations.check_people(bottom_up=bottom_up)
    annotations.check_evaluation(17)


def test_joints_in_another_order():
    with pytest.raises(ConfigError, match="keypoint 0 is 'tail' .* 'nose'"):
        trained(edited('categories', dict(keypoints=['tail', 'nose']), 0))


def test_boxes_without_keypoints_are_the_wrong_file():
    with pytest.raises(ConfigError, match='person_keypoints_'):
        trained(edited('annotations', dict(keypoints=ABSENT), 0, 1, 2))
    # beside people of other annotations they are left out
    trained(edited('annotations', dict(keypoints=ABSENT), 0))


@pytest.mark.parametrize(
    'values', [dict(keypoints=[0] * 6), dict(iscrowd=1), None]
)
def test_nobody_to_train_on_or_to_find(values):
    changed = edited('annotations', values or {}, 0, 1, 2)
    if values is None:
        changed['annotations'] = []
    with pytest.raises(ConfigError, match='nobody has a visible keypoint'):
        trained(changed)
    for check in TO_EVALUATE:
        with pytest.raises(ConfigError, match='nobody .* there is no AP'):
            check(changed)


def test_options_of_an_evaluation():
    without = edited('annotations', dict(area=ABSENT), 0, 1, 2)
    evaluated(without, use_area=False)
    changed = edited('images', dict(crowdIndex=ABSENT), 1)
    evaluated(changed)
    with pytest.raises(ConfigError, match='image 5 has no crowdIndex'):
        crowdpose(changed)
    with pytest.raises(ConfigError, match="iou_type must be .*'bbox'"):
        evaluated(content(), iou_type='bbox')
    # without a number the first person tells it
    changed = edited('annotations', dict(keypoints=[1, 1, 2]), 2)
    with pytest.raises(ConfigError, match='annotation 12 .* 3 numbers .* 6'):
        evaluated(changed, None)


def test_the_peoples_category():
    def category(changed):
        return KeypointAnnotations(changed, 'file').find_person_category()

    changed = content()
    changed['categories'].insert(0, dict(id=7))
    assert category(changed) == content()['categories'][0]
    changed['annotations'][1]['category_id'] = 7
    with pytest.raises(ConfigError, match=r'file: .* categories \[1, 7\]'):
        category(changed)
    # nobody is annotated
    changed['annotations'] = []
    assert category(changed)['id'] == 1
    del changed['categories'][1]['keypoints']
    assert category(changed)['id'] == 1
    assert category(dict(images=[])) == dict(id=1)
