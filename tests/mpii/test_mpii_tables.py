"""JSON, HDF5 and the list of RMPE's authors."""

import json

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from rmpe_spm.mpii.readers import read_hdf5, read_json, read_rmpe_list


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


def rows(number=3, **changes):
    """Rows as pose-hg-train has them, the second image between."""
    part = np.full((number, 16, 2), 7.0)
    part[:, 5] = 0
    values = dict(
        imgname=np.array([b'5.jpg', b'6.jpg', b'5.jpg'][:number]),
        part=part,
        center=np.full((number, 2), [30.0, 40 + 15 * 1.5]),
        scale=np.full(number, 1.5 * 1.25),
        normalize=np.arange(20.0, 20 + number),
        person=np.arange(number, dtype=float),
        visible=np.zeros((number, 16)),
    )
    return {**values, **changes}


def write_hdf5(path, values):
    with h5py.File(path, 'w') as file:
        for name, value in values.items():
            file[name] = value
    return path


def test_json(tmp_path):
    path = tmp_path / 'val.json'
    records = [record(), record('6.jpg'), record(head_box=[1, 2, 31, 42])]
    path.write_text(json.dumps(records))
    first, second = read_json(path)
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
    savemat(
        head, dict(headboxes_src=boxes.reshape(3, 2, 2).transpose(1, 2, 0))
    )
    first, second = read_json(path, head)
    np.testing.assert_allclose(first.head_bboxes_xyxy, boxes[[0, 2]])
    np.testing.assert_allclose(first.head_sizes, 30)
    np.testing.assert_allclose(second.head_bboxes_xyxy, boxes[[1]])


def test_json_that_is_refused(tmp_path):
    path = tmp_path / 'val.json'
    short = [[1, 2]] * 15
    nan = record()
    nan['joints'][4] = [float('nan'), 1.0]
    for content, match in (
        ('[{', 'not a JSON file'),
        ('{}', 'not a list of records'),
        ('[]', 'is empty'),
        ([record(), 5], 'record 1 is 5'),
        ([record(), {'image': '6.jpg'}], 'record 1 .image 6.jpg. has no "jo'),
        ([record(joints=short)], r'record 0 .*"joints" has the .*\(15, 2\)'),
        ([record(scale=[1, 2])], r'record 0 .*"scale" has the shape \(2,\)'),
        ([record(center='here')], 'record 0 .* has center'),
        ([record(image=3)], 'record 0 has image = 3'),
        ([record(head_box=[1, 2])], r'"head_box" has the shape \(2,\)'),
        ([record('6.jpg'), nan], 'image 5.jpg, person 1: joint 4 is at .nan'),
    ):
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        with pytest.raises(ValueError, match=match) as error:
            read_json(path)
        assert str(path) in str(error.value)
    path.write_text(json.dumps([record()]))
    head = tmp_path / 'head.mat'
    savemat(head, dict(headboxes_src=np.ones((2, 2, 4))))
    with pytest.raises(ValueError, match=r'\(2, 2, 1\).*\(2, 2, 4\)'):
        read_json(path, head)
    savemat(head, dict(x=1))
    with pytest.raises(ValueError, match='but has nothing'):
        read_json(path, head)
    head.write_text('text')
    with pytest.raises(ValueError, match='not a MATLAB file'):
        read_json(path, head)


def test_hdf5(tmp_path):
    first, second = read_hdf5(write_hdf5(tmp_path / 'valid.h5', rows()))
    assert (first.name, second.name) == ('5.jpg', '6.jpg')
    assert first.person_ids.tolist() == [1, 3]
    assert first.head_sizes.tolist() == [20, 22]
    # pose-hg-train's changes are undone
    np.testing.assert_allclose(first.centers, [[30, 40]] * 2)
    np.testing.assert_allclose(first.scales, 1.5)
    # visible is 0 everywhere: occluded, but annotated
    assert first.annotated.sum() == 30 and not first.annotated[:, 5].any()


def test_hdf5_that_is_refused(tmp_path):
    path = tmp_path / 'valid.h5'
    path.write_text('text')
    with pytest.raises(ValueError, match='not an HDF5 file'):
        read_hdf5(path)
    lacking = rows()
    del lacking['normalize']
    nan = rows()
    nan['part'][1, 2, 0] = np.nan
    for values, match in (
        (lacking, 'has no "normalize"'),
        (rows(part=np.ones((3, 14, 2))), r'"part" .*\(3, 14, 2\)'),
        (rows(scale=np.ones(2)), r'"scale" has the shape \(2,\)'),
        (rows(normalize=-np.ones(3)), 'image 5.jpg, person 1 has a head of'),
        (rows(person=np.zeros(3)), 'image 5.jpg has the person 1 twice'),
        (nan, 'image 6.jpg, person 2: joint 2 is at .nan'),
    ):
        write_hdf5(path, values)
        with pytest.raises(ValueError, match=match) as error:
            read_hdf5(path)
        assert str(path) in str(error.value)


def test_real_hdf5(shared_dir):
    folder = shared_dir / 'data'
    images = {i.name: i for i in read_hdf5(folder / 'mpii' / 'valid.h5')}
    assert len(images) == 2729
    assert sum(map(len, images.values())) == 2958
    # the same people in mmpose's JSON
    records = read_json(folder / 'mmpose_samples' / 'mpii' / 'test_mpii.json')
    for wanted in records:
        found = images[wanted.name]
        np.testing.assert_allclose(found.centers[0], wanted.centers[0])
        np.testing.assert_allclose(found.scales[0], wanted.scales[0], 1e-5)
        assert (found.annotated[0] == wanted.annotated[0]).all()
        offset = wanted.keypoints[0] - found.keypoints[0]
        assert ((offset >= 0) & (offset < 1)).all()


def line(name='5.jpg', joints=16, box=4):
    numbers = [
        ' '.join(['3'] * box),
        '30 40 1.5',
        ' '.join(['0'] + ['7'] * (joints - 1)),
        ' '.join(['9'] * joints) + ' ',
    ]
    return '\t'.join([name, *numbers]) + '\n'


def test_rmpe_list(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text(line() + line('6.jpg') + '\n' + line())
    first, second = read_rmpe_list(path)
    assert (first.name, len(first), len(second)) == ('5.jpg', 2, 1)
    assert first.centers.tolist() == [[30, 40]] * 2
    assert first.scales.tolist() == [1.5] * 2
    assert (~first.annotated).nonzero()[1].tolist() == [0, 0]
    assert first.keypoints[0, 1].tolist() == [7, 9]
    assert np.isnan(first.head_sizes).all()
    for text, match in (
        ('', 'lists nobody'),
        (line() + line(joints=14), 'line 2: .* 4, 3, 16 and 16'),
        (line(box=5), 'line 1'),
        (line().replace('1.5', 'x'), 'line 1: could not convert'),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            read_rmpe_list(path)


def test_real_rmpe_list(shared_dir):
    images = read_rmpe_list(shared_dir / 'data/mpii/rmpe_val_list.txt')
    assert len(images) == 500 and sum(map(len, images)) == 1454
    assert sum(len(image) > 1 for image in images) == 498
