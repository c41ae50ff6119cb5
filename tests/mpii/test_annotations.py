"""The joints of MPII, and its annotations in every form, real ones too."""

import json
from types import SimpleNamespace

import h5py
import mpii_files
import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from scipy.io import loadmat, savemat

from rmpe_spm.mpii.annotations import (
    MPII14,
    MPII14_IDS,
    MPII16,
    MpiiImage,
    evaluated_joints,
    mpii14_metainfo,
)
from rmpe_spm.mpii.ap import COLUMNS
from rmpe_spm.mpii.readers import _read_image, read_mpii
from rmpe_spm.spm.kinematics import build_kinematic_tree

WHOLE = dict(from_file='configs/_base_/datasets/mpii.py')


def test_names_are_mmposes():
    meta = parse_pose_metainfo(WHOLE)
    assert [meta['keypoint_id2name'][i] for i in range(16)] == list(MPII16)
    assert MPII14_IDS.tolist() == [0, 1, 2, 3, 4, 5, *range(8, 16)]
    assert sorted(sum(COLUMNS.values(), ())) == sorted(MPII14)
    for column, joints in COLUMNS.items():
        if column != 'Head':
            assert joints[0] == 'right_' + column.lower()
            assert joints[1] == 'left_' + column.lower()


def test_evaluated_joints():
    values = np.arange(32).reshape(1, 16, 2)
    chosen = evaluated_joints(values)
    assert chosen.shape == (1, 14, 2)
    assert chosen[0, 5:7, 0].tolist() == [10, 16]
    assert evaluated_joints(chosen) is chosen
    assert evaluated_joints(values[..., 0]).shape == (1, 14)
    with pytest.raises(ValueError, match='these have 17'):
        evaluated_joints(np.zeros((2, 17)))


def test_fourteen_joints():
    old = parse_pose_metainfo(WHOLE)
    new = parse_pose_metainfo(mpii14_metainfo(old))
    names = [new['keypoint_id2name'][i] for i in range(14)]
    # the order of the kinematic tree
    assert tuple(names) == build_kinematic_tree('mpii14').joint_names
    assert new['num_keypoints'] == 14
    for i, name in enumerate(names):
        j = old['keypoint_name2id'][name]
        partner = old['keypoint_id2name'][old['flip_indices'][j]]
        assert names[new['flip_indices'][i]] == partner
        assert new['sigmas'][i] == old['sigmas'][j]
        assert (
            new['dataset_keypoint_weights'][i]
            == old['dataset_keypoint_weights'][j]
        )
        assert (i in new['upper_body_ids']) == (j in old['upper_body_ids'])
    links = {(names[a], names[b]) for a, b in new['skeleton_links']}
    assert ('right_ankle', 'right_knee') in links
    assert ('left_shoulder', 'left_hip') in links
    linked = {name for link in links for name in link}
    assert linked == set(names)


def test_only_annotated_people_are_checked():
    image = MpiiImage.unknown('1.jpg', 2)
    image.keypoints[:] = np.inf
    image.head_sizes[:] = 0
    assert image.check('file') is image
    image.annotated[1, 4] = True
    with pytest.raises(ValueError, match='file: image 1.jpg, person 2: joi'):
        image.check('file')
    image.keypoints[:] = 0
    with pytest.raises(ValueError, match='person 2 has a head of size 0'):
        image.check('file')


def refused(path, match):
    with pytest.raises(ValueError, match=match) as error:
        read_mpii(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    'name,match',
    [
        ('x.csv', 'MPII annotations end in .mat'),
        ('x.MAT', 'not a MATLAB'),
        ('x.json', 'not a JSON file'),
        ('x.h5', r'not a \.h5 file'),
        ('x.hdf5', r'not a \.hdf5 file'),
    ],
)
def test_reader_by_ending(tmp_path, name, match):
    path = tmp_path / name
    if name != 'x.csv':
        with pytest.raises(FileNotFoundError, match=name):
            read_mpii(path)
    path.write_text('something else')
    refused(path, match)
    if name == 'x.h5':
        with pytest.raises(ValueError, match='headbox_file=.* is for .json'):
            read_mpii(path, path)


def test_all_that_the_release_has(tmp_path):
    both = mpii_files.standing_person
    path = mpii_files.write_release(
        tmp_path / 'release.mat',
        {
            '015601864.jpg': [
                both(100, 120, leave_out=(6, 9)),
                mpii_files.person({}, head=(5, 6, 11, 14)),
                mpii_files.person({9: (3.5, 4)}, center=(8, 9), scale=2.5),
            ],
            '000000001.jpg': [],
        },
        train=[1, 0],
    )
    first, second = read_mpii(path)
    assert (first.name, first.is_train) == ('015601864.jpg', True)
    assert second.name == '000000001.jpg'
    assert not second.is_train and len(second) == 0
    assert first.person_ids.tolist() == [1, 2, 3]
    expected = np.array(list(mpii_files.standing(100, 120).values()))
    shown = np.ones(16, bool)
    shown[[6, 9]] = False
    # whatever their is_visible
    assert first.annotated[0].tolist() == shown.tolist()
    np.testing.assert_allclose(first.keypoints[0][shown], expected[shown])
    assert (first.keypoints[0][~shown] == 0).all()
    assert not first.annotated[1].any()
    assert first.annotated[2].nonzero()[0].tolist() == [9]
    assert first.keypoints[2, 9].tolist() == [3.5, 4]
    np.testing.assert_allclose(
        first.head_bboxes_xyxy,
        [[85, 40, 115, 80], [5, 6, 11, 14], [0, 0, 30, 40]],
    )
    np.testing.assert_allclose(first.head_sizes, [30, 6, 30])
    np.testing.assert_allclose(
        first.centers, [[100, 120], [np.nan] * 2, [8, 9]]
    )
    np.testing.assert_allclose(first.scales, [0.8, np.nan, 2.5])


def test_people_without_some_of_the_fields(tmp_path):
    """Test images have people with no more than their place."""
    place = mpii_files.struct([dict(x=7, y=8)], ['x', 'y'])
    rects = mpii_files.struct(
        [dict(scale=3.0, objpos=place)], ['scale', 'objpos']
    )
    annolist = dict(image=dict(name='1.jpg'), annorect=rects)
    path = tmp_path / 'release.mat'
    savemat(path, dict(RELEASE=dict(annolist=annolist, img_train=[[0]])))
    (image,) = read_mpii(path)
    assert not image.is_train and len(image) == 1
    assert image.centers.tolist() == [[7, 8]] and image.scales[0] == 3
    assert np.isnan(image.head_sizes).all() and not image.annotated.any()


def test_real_people_with_head_boxes(shared_dir):
    """The structure of annorect as MATLAB wrote it itself."""
    path = shared_dir / 'data' / 'mpii' / 'single_person_predictions.mat'
    content = loadmat(path, struct_as_record=False, squeeze_me=True)
    entries = content['annolist'][:40]
    rows = [
        (image, index)
        for image in read_mpii(path.with_name('valid.h5'))
        for index in range(len(image))
    ]
    for entry, (wanted, index) in zip(entries, rows, strict=False):
        entry.image = SimpleNamespace(name='1.jpg')
        found = _read_image(path, 0, entry, True)
        assert (found.annotated[0] == wanted.annotated[index]).all()
        # the HDF5 file has whole pixels
        offset = found.keypoints[0] - wanted.keypoints[index]
        assert ((offset >= 0) & (offset < 1)).all()
        for field in ('head_sizes', 'centers', 'scales'):
            np.testing.assert_allclose(
                getattr(found, field)[0], getattr(wanted, field)[index]
            )


GOOD = mpii_files.standing_person(50, 90)


@pytest.mark.parametrize(
    'people,match',
    [
        ([mpii_files.person({3: (np.nan, 2)})], r'person 1: joint 3 .*nan'),
        ([GOOD, dict(GOOD, x2=35, y2=10, x1=35, y1=10)], 'person 2 has a hea'),
    ],
)
def test_people_of_the_release_who_are_refused(tmp_path, people, match):
    path = tmp_path / 'release.mat'
    mpii_files.write_release(path, {'0.jpg': [GOOD], '5.jpg': people})
    refused(path, f'image 5.jpg, {match}')


def test_releases_that_are_refused(tmp_path):
    path = tmp_path / 'release.mat'
    mpii_files.write_release(path, {'1.jpg': [GOOD]})
    path.write_bytes(path.read_bytes()[:900])
    refused(path, 'not a MATLAB file')
    savemat(path, dict(pred=1))
    refused(path, 'no RELEASE.annolist')


def record(image='5.jpg', **changes):
    """A person as mmpose's JSON has them; joint 3 is not annotated."""
    joints = [[10.0 + j, 20.5] for j in range(16)]
    joints[3] = [-1.0, -1.0]
    values = dict(
        image=image,
        joints=joints,
        joints_vis=[int(j != 3) for j in range(16)],
        center=[30.0, 40.0],
        scale=1.5,
    )
    return {**values, **changes}


def test_json(tmp_path):
    path = tmp_path / 'val.json'
    records = [record(), record('6.jpg'), record(head_box=[1, 2, 31, 42])]
    path.write_text(json.dumps(records))
    first, second = read_mpii(path)
    assert (first.name, second.name) == ('5.jpg', '6.jpg')
    assert first.person_ids.tolist() == [1, 2] and len(second) == 1
    assert first.is_train
    assert (~first.annotated).nonzero()[1].tolist() == [3, 3]
    assert first.keypoints[0, 2].tolist() == [12, 20.5]
    assert first.keypoints[0, 3].tolist() == [0, 0]
    assert first.centers.tolist() == [[30, 40]] * 2
    np.testing.assert_allclose(first.scales, 1.5)
    np.testing.assert_allclose(first.head_sizes, [np.nan, 30])
    boxes = np.arange(12.0).reshape(3, 4)
    boxes[:, 2:] += [28, 38]
    head = tmp_path / 'mpii_gt_val.mat'
    with pytest.raises(FileNotFoundError, match='mpii_gt_val.mat'):
        read_mpii(path, head)
    savemat(
        head, dict(headboxes_src=boxes.reshape(3, 2, 2).transpose(1, 2, 0))
    )
    first, second = read_mpii(path, head)
    np.testing.assert_allclose(first.head_bboxes_xyxy, boxes[[0, 2]])
    np.testing.assert_allclose(first.head_sizes, 30)
    np.testing.assert_allclose(second.head_bboxes_xyxy, boxes[[1]])
    for content, match in (
        (dict(headboxes_src=np.ones((2, 2, 4))), 'of 4 people, .* have 3'),
        (dict(x=1), 'headboxes_src'),
    ):
        savemat(head, content)
        with pytest.raises(ValueError, match=match):
            read_mpii(path, head)


@pytest.mark.parametrize(
    'content,match',
    [
        (dict(a=1), 'TypeError'),
        ([record(), 5], 'TypeError'),
        ([record(), {'image': '6.jpg'}], "KeyError.'joints'"),
        ([record(joints=[[1, 2]] * 15)], 'ValueError'),
        ([record(center='here')], "ValueError.*'here'"),
        (
            [record('6.jpg'), record(joints=[[np.nan, 1.0]] * 16)],
            'image 5.jpg, person 1: joint 0 is at .nan',
        ),
    ],
)
def test_json_that_is_refused(tmp_path, content, match):
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(content))
    refused(path, match)


def write_hdf5(path, without=None, **changes):
    """Three rows as pose-hg-train has them, the second image between."""
    part = np.full((3, 16, 2), 7.0)
    part[:, 5] = 0
    rows = dict(
        imgname=np.array([b'5.jpg', b'6.jpg', b'5.jpg']),
        part=part,
        center=np.full((3, 2), [30.0, 40 + 15 * 1.5]),
        scale=np.full(3, 1.5 * 1.25),
        normalize=np.arange(20.0, 23),
        person=np.arange(3.0),
        visible=np.zeros((3, 16)),
    )
    rows.update(changes)
    rows.pop(without, None)
    with h5py.File(path, 'w') as file:
        for name, value in rows.items():
            file[name] = value
    return path


def test_hdf5(tmp_path):
    first, second = read_mpii(write_hdf5(tmp_path / 'valid.h5'))
    assert (first.name, second.name) == ('5.jpg', '6.jpg')
    assert first.person_ids.tolist() == [1, 3]
    assert first.head_sizes.tolist() == [20, 22]
    # pose-hg-train's changes are undone
    np.testing.assert_allclose(first.centers, [[30, 40]] * 2)
    np.testing.assert_allclose(first.scales, 1.5)
    # visible is 0 everywhere: occluded, but annotated
    assert first.annotated.sum() == 30 and not first.annotated[:, 5].any()


@pytest.mark.parametrize(
    'changes,match',
    [
        (dict(without='normalize'), "KeyError.*'normalize'"),
        (dict(part=np.ones((3, 14, 2))), 'ValueError'),
        (dict(normalize=-np.ones(3)), 'image 5.jpg, person 1 has a head of'),
        (
            dict(part=np.full((3, 16, 2), np.nan)),
            'image 5.jpg, person 1: joint 0 is at .nan',
        ),
    ],
)
def test_hdf5_that_is_refused(tmp_path, changes, match):
    refused(write_hdf5(tmp_path / 'valid.h5', **changes), match)


def test_real_hdf5(shared_dir):
    folder = shared_dir / 'data'
    images = {i.name: i for i in read_mpii(folder / 'mpii' / 'valid.h5')}
    assert len(images) == 2729
    assert sum(map(len, images.values())) == 2958
    # the same people in mmpose's JSON
    records = read_mpii(folder / 'mmpose_samples' / 'mpii' / 'test_mpii.json')
    for wanted in records:
        found = images[wanted.name]
        np.testing.assert_allclose(found.centers[0], wanted.centers[0])
        np.testing.assert_allclose(found.scales[0], wanted.scales[0], 1e-5)
        assert (found.annotated[0] == wanted.annotated[0]).all()
        offset = wanted.keypoints[0] - found.keypoints[0]
        assert ((offset >= 0) & (offset < 1)).all()
