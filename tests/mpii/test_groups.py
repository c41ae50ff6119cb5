"""Groups of people and the units of both protocols, by hand."""

import json

import mpii_files
import numpy as np
import pytest
from scipy.io import savemat

from rmpe_spm.mpii.annotations import MpiiImage
from rmpe_spm.mpii.groups import (
    find_groups,
    make_units,
    person_boxes,
    read_groups,
    unit_annotations,
)


def people(centers, scales=1.0, name='5.jpg'):
    image = MpiiImage.unknown(name, len(centers))
    image.centers[:] = np.reshape(centers, (-1, 2))
    image.scales[:] = scales
    return image


def test_boxes_by_hand():
    image = people([(100, 200), (0, 0), (0, 0), (0, 0)])
    image.scales[1:] = np.nan
    image.keypoints[1, [2, 5]] = [(3, 9), (8, 4)]
    image.annotated[1, [2, 5]] = True
    image.keypoints[1, 3] = [-50, 50]  # not annotated
    image.head_bboxes_xyxy[1] = [5, 6, 9, 7]
    image.head_bboxes_xyxy[2] = [5, 6, 9, 7]
    np.testing.assert_allclose(
        person_boxes(image),
        [[0, 100, 200, 300], [3, 4, 9, 9], [5, 6, 9, 7], [np.nan] * 4],
    )


def test_groups_by_hand():
    """Squares of 100 x scale that overlap, also through others."""
    image = people([(0, 0), (700, 0), (90, 40), (230, 0)], [1, 1, 1, 2])
    assert [g.tolist() for g in find_groups(image)] == [[0, 2, 3], [1]]
    # that only touch don't, and who is nowhere keeps nobody out
    image = people([(0, 0), (0, 0), (100, 0)], [1, np.nan, 1])
    assert [g.tolist() for g in find_groups(image)] == [[0], [2]]
    # extents of joints stand in for squares
    image.keypoints[1, [2, 5]] = [(20, 0), (100, 40)]
    image.annotated[1, [2, 5]] = True
    assert [g.tolist() for g in find_groups(image)] == [[0, 1, 2]]
    assert find_groups(people([])) == []


GROUPS = [people([(0, 0)] * 3), people([(0, 0)], name='6.jpg')]
GROUPS[0].person_ids[:] = [1, 4, 7]


def test_groups_of_a_file(tmp_path):
    path = tmp_path / 'groups.json'
    with pytest.raises(FileNotFoundError, match='groups.json'):
        read_groups(path, GROUPS)
    path.write_text(json.dumps({'5.jpg': [[7, 1], [4]]}))
    groups = read_groups(path, GROUPS)
    assert list(groups) == ['5.jpg']
    assert [g.tolist() for g in groups['5.jpg']] == [[2, 0], [1]]


@pytest.mark.parametrize(
    'content,match',
    [
        ('[', 'not a JSON file'),
        ([1], 'must have groups as'),
        ({'7.jpg': [[1]]}, 'image 7.jpg is not in the annotations'),
        *(
            ({name: parts}, rf'image {name} has the groups .*{people}, each')
            for name, parts, people in (
                ('6.jpg', [[1], [2]], r'\[1\]'),
                ('6.jpg', [[]], r'\[1\]'),
                ('6.jpg', [1], r'\[1\]'),
                ('6.jpg', 3, r'\[1\]'),
                ('6.jpg', None, r'\[1\]'),
                ('5.jpg', [[1, 4], [4]], r'\[1, 4, 7\]'),
            )
        ),
    ],
)
def test_files_that_are_refused(tmp_path, content, match):
    path = tmp_path / 'groups.json'
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text)
    with pytest.raises(ValueError, match=match) as error:
        read_groups(path, GROUPS)
    assert str(path) in str(error.value)


def test_official_groups(tmp_path):
    """People by number, those who are alone are left out."""
    path = tmp_path / 'groups_v12.mat'
    with pytest.raises(FileNotFoundError, match='groups_v12.mat'):
        read_groups(path, GROUPS)
    images = [people([(0, 0)] * n, name=f'{n}.jpg') for n in (4, 0, 1, 2)]
    mpii_files.write_groups(path, [[[1, 3], [2]], [], [[1]], [[2, 1]]])
    groups = read_groups(path, images)
    assert list(groups) == ['4.jpg', '2.jpg']
    assert [g.tolist() for g in groups['4.jpg']] == [[0, 2]]
    assert [g.tolist() for g in groups['2.jpg']] == [[1, 0]]
    with pytest.raises(ValueError, match='each of the 2 .* with the release'):
        read_groups(path, GROUPS)
    for content in (dict(x=1), dict(groups=[1.0, 2.0])):
        savemat(path, content)
        with pytest.raises(ValueError, match='"groups" must have a cell'):
            read_groups(path, GROUPS)


def image(name, centers, is_train=True, joints=True):
    found = people(centers, name=name)
    found.is_train = is_train
    found.keypoints[:] = found.centers[:, None] + np.arange(16)[:, None]
    found.annotated[:] = joints
    found.head_bboxes_xyxy[:] = [1, 2, 31, 42]
    found.head_sizes[:] = 30
    return found


def members(units):
    return [
        (unit.img_id, unit.first_id, unit.members.tolist()) for unit in units
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
    groups = {'015.jpg': [np.array([2, 1])]}
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
    groups = {'3.jpg': [np.array([0])]}
    with pytest.raises(ValueError, match='image 3.jpg, person 1: nothing te'):
        make_units([lost], 'group', groups)


def test_wrong_arguments():
    for change, match in (
        (dict(protocol='person'), "'person' is not one of"),
        (dict(split='val'), "split 'val'"),
        (dict(min_people=4), 'no image with at least 4 people'),
    ):
        with pytest.raises(ValueError, match=match):
            make_units(IMAGES, **{'protocol': 'image', **change})


def test_annotation_by_hand():
    pair = image('015.jpg', [(100, 100), FAR, (150, 100)])
    pair.annotated[2, 4:] = False
    pair.head_bboxes_xyxy[2] = pair.head_sizes[2] = np.nan
    unit, _ = make_units([pair], 'group')
    one, two = unit_annotations(unit, 16)
    assert (one['id'], two['id'], one['image_id']) == (1, 3, 15)
    assert (one['person_id'], two['person_id']) == (1, 3)
    assert one['keypoints'][:6] == [100, 100, 2, 101, 101, 2]
    assert one['num_keypoints'] == 16 and two['num_keypoints'] == 4
    assert two['keypoints'][11] == 2 and two['keypoints'][14] == 0
    # a square of 200 about (100, 100 + 15)
    assert one['bbox'] == [0, 15, 200, 200]
    assert one['area'] == pytest.approx(0.53 * 200**2)
    assert one['head_size'] == 30 and two['head_size'] is None
    for each in (one, two):
        assert each['group_id'] == 0 and each['protocol'] == 'group'
        assert each['group_bbox_xyxy'] == [0, 0, 250, 200]
    short = unit_annotations(unit, 14)[0]
    # pelvis and thorax are gone
    assert short['keypoints'][18:21] == [108, 108, 2]
    assert len(short['keypoints']) == 42 and short['num_keypoints'] == 14
