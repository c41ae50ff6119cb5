"""Which groups and images are evaluated, and what their samples say."""

import numpy as np
import pytest

from rmpe_spm.mpii.annotations import MpiiImage
from rmpe_spm.mpii.groups import make_group
from rmpe_spm.mpii.units import make_units, unit_annotations


def image(name, centers, is_train=True, joints=True):
    found = MpiiImage.unknown(name, len(centers), is_train)
    found.centers[:] = np.reshape(centers, (-1, 2))
    found.scales[:] = 1
    found.keypoints[:] = found.centers[:, None] + np.arange(16)[:, None]
    found.annotated[:] = joints
    found.head_bboxes_xyxy[:] = [1, 2, 31, 42]
    found.head_sizes[:] = 30
    return found


def members(units):
    return [
        (unit.img_id, unit.first_id, unit.group.members.tolist())
        for unit in units
    ]


FAR = (2000, 0)
IMAGES = [
    image('015.jpg', [(100, 100), FAR, (150, 100)]),
    image('000.jpg', []),
    image('007.jpg', [(100, 100)], joints=False),
    image('008.jpg', [(100, 100), (130, 100)], is_train=False, joints=False),
    image('009.jpg', [(100, 100)]),
]


def test_both_protocols():
    units = make_units(IMAGES, 'group')
    # nobody is annotated in a training image: not evaluated
    assert members(units) == [
        (15, 1, [0, 2]), (15, 1, [1]), (8, 5, [0, 1]), (9, 7, [0]),
    ]  # fmt: skip
    assert [unit.unit_id for unit in units] == [0, 1, 2, 3]
    assert members(make_units(IMAGES, 'image')) == [
        (15, 1, [0, 1, 2]), (8, 5, [0, 1]), (9, 7, [0]),
    ]  # fmt: skip


def test_choices():
    found = members(make_units(IMAGES, 'group', min_people=2))
    assert found == [(15, 1, [0, 2]), (8, 5, [0, 1])]
    found = members(make_units(IMAGES, 'image', split='train'))
    assert found == [(15, 1, [0, 1, 2]), (9, 7, [0])]
    found = members(make_units(IMAGES, 'image', split='test'))
    assert found == [(8, 5, [0, 1])]
    groups = {'015.jpg': [make_group(IMAGES[0], [2, 1])]}
    assert members(make_units(IMAGES, 'group', groups)) == [(15, 1, [2, 1])]
    assert members(make_units(IMAGES, 'image', groups)) == [(15, 1, [0, 1, 2])]


def test_names_that_are_no_numbers():
    images = [image('b.jpg', [FAR]), image('7.jpg', [FAR])]
    assert [unit.img_id for unit in make_units(images, 'image')] == [1, 2]
    twice = [image('7.jpg', [FAR]), image('07.png', [FAR])]
    with pytest.raises(ValueError, match='same number'):
        make_units(twice, 'image')


def test_people_who_are_nowhere():
    lost = image('3.jpg', [FAR, FAR], is_train=False, joints=False)
    lost.scales[:], lost.head_bboxes_xyxy[:] = np.nan, np.nan
    assert members(make_units([lost, IMAGES[4]], 'image')) == [(9, 3, [0])]
    lost.scales[1] = 1
    assert members(make_units([lost], 'image')) == [(3, 1, [1])]


def test_wrong_arguments():
    for change, match in (
        (dict(protocol='person'), "'person' is not one of"),
        (dict(split='val'), "split 'val'"),
        (dict(min_people=4), 'no image with at least 4 people'),
    ):
        with pytest.raises(ValueError, match=match):
            make_units(IMAGES, **{'protocol': 'image', **change})


def test_annotation_by_hand():
    first = IMAGES[0].subset(np.array([0, 2]))
    first.annotated[1, 4:] = False
    first.head_bboxes_xyxy[1] = first.head_sizes[1] = np.nan
    (unit,) = make_units([first], 'group')
    one, two = unit_annotations(unit, 'group', 16)
    assert (one['id'], two['id'], one['image_id']) == (1, 2, 15)
    assert (one['person_id'], two['person_id']) == (1, 3)
    assert one['keypoints'][:6] == [100, 100, 2, 101, 101, 2]
    assert one['num_keypoints'] == 16 and two['num_keypoints'] == 4
    assert two['keypoints'][11] == 2 and two['keypoints'][14] == 0
    # a square of 200 about (100, 100 + 15)
    assert one['bbox'] == [0, 15, 200, 200]
    assert one['area'] == pytest.approx(0.53 * 200**2)
    assert one['head_size'] == 30 and one['head_bbox_xyxy'] == [1, 2, 31, 42]
    assert two['head_size'] is None and two['head_bbox_xyxy'] is None
    for each in (one, two):
        assert each['group_id'] == 0 and each['protocol'] == 'group'
        assert each['group_center'] == [125, 100] and each['group_scale'] == 1
        assert each['group_bbox_xyxy'] == [0, 0, 250, 200]
    short = unit_annotations(unit, 'group', 14)[0]
    # pelvis and thorax are gone
    assert short['keypoints'][18:21] == [108, 108, 2]
    assert len(short['keypoints']) == 42 and short['num_keypoints'] == 14
