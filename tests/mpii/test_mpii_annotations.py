"""Which reader a file goes to, and what all of them check."""

import json

import numpy as np
import pytest

from rmpe_spm.mpii.annotations import MpiiImage, check_finite
from rmpe_spm.mpii.readers import read_mpii


def test_reader_by_ending(tmp_path):
    path = tmp_path / 'val.json'
    with pytest.raises(FileNotFoundError, match='val.json'):
        read_mpii(path)
    record = dict(
        image='1.jpg', joints=[[1, 2]] * 16, joints_vis=[1] * 16,
        center=[1, 2], scale=1,
    )  # fmt: skip
    path.write_text(json.dumps([record]))
    (image,) = read_mpii(path)
    assert image.name == '1.jpg' and image.annotated.all()
    with pytest.raises(FileNotFoundError, match='head.mat'):
        read_mpii(path, tmp_path / 'head.mat')
    with pytest.raises(ValueError, match='.csv: MPII annotations end in .mat'):
        read_mpii(tmp_path / 'x.csv')
    with pytest.raises(ValueError, match='headbox_file=.* is for .json'):
        read_mpii(tmp_path / 'x.h5', path)
    for name, match in (
        ('x.MAT', 'not a MATLAB'),
        ('x.h5', 'not an HDF5'),
        ('x.hdf5', 'not an HDF5'),
        ('x.txt', 'x.txt, line 1'),
    ):
        (tmp_path / name).write_text('something else')
        with pytest.raises(ValueError, match=match):
            read_mpii(tmp_path / name)


def test_subset_and_unknown():
    image = MpiiImage.unknown('1.jpg', 3)
    image.scales[:] = [1, 2, 3]
    part = image.subset(np.array([True, False, True]))
    assert part.person_ids.tolist() == [1, 3]
    assert part.scales.tolist() == [1, 3] and part.keypoints.shape[0] == 2
    assert (part.name, part.is_train, len(part)) == ('1.jpg', True, 2)


def test_only_annotated_people_are_checked():
    image = MpiiImage.unknown('1.jpg', 2)
    image.keypoints[:] = np.inf
    image.head_sizes[:] = 0
    assert check_finite(image, 'file') is image
    image.annotated[1, 4] = True
    with pytest.raises(ValueError, match='file: image 1.jpg, person 2: joi'):
        check_finite(image, 'file')
    image.keypoints[:] = 0
    with pytest.raises(ValueError, match='person 2 has a head of size 0'):
        check_finite(image, 'file')
