"""The release's .mat, as written by the tests in its structure."""

from types import SimpleNamespace

import mpii_files
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from rmpe_spm.mpii.readers import _read_image, read_hdf5, read_release


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
        single={0: [3]},
    )
    first, second = read_release(path)
    assert (first.name, first.is_train) == ('015601864.jpg', True)
    assert (second.name, second.is_train, len(second)) == (
        '000000001.jpg', False, 0,
    )  # fmt: skip
    assert first.person_ids.tolist() == [1, 2, 3]
    assert first.single.tolist() == [False, False, True]
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
    names = ['scale', 'objpos']
    place = mpii_files.struct([dict(x=7, y=8)], ['x', 'y'])
    rects = mpii_files.struct([dict(scale=3.0, objpos=place)], names)
    image = mpii_files.struct([dict(name='1.jpg')], ['name'])
    annolist = mpii_files.struct(
        [dict(image=image, annorect=rects)], ['image', 'annorect']
    )
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = np.array([[1]])
    path = tmp_path / 'release.mat'
    savemat(
        path,
        dict(
            RELEASE=dict(
                annolist=annolist, img_train=[[0]], single_person=cells
            )
        ),
    )
    (image,) = read_release(path)
    assert not image.is_train and image.single.tolist() == [True]
    assert image.centers.tolist() == [[7, 8]] and image.scales[0] == 3
    assert np.isnan(image.head_sizes).all() and not image.annotated.any()


def test_one_image_of_several_apart(tmp_path):
    path = mpii_files.write_release(
        tmp_path / 'release.mat',
        {'1.jpg': [mpii_files.standing_person(x, 99) for x in (50, 900)]},
        single={0: [1, 2]},
    )
    (image,) = read_release(path)
    assert image.single.tolist() == [True, True]


def test_real_people_with_head_boxes(shared_dir):
    """The structure of annorect as MATLAB wrote it itself."""
    path = shared_dir / 'data' / 'mpii' / 'single_person_predictions.mat'
    content = loadmat(path, struct_as_record=False, squeeze_me=True)
    entries = content['annolist'][:40]
    rows = [
        (image, index)
        for image in read_hdf5(path.with_name('valid.h5'))
        for index in range(len(image))
    ]
    for entry, (wanted, index) in zip(entries, rows, strict=False):
        entry.image = SimpleNamespace(name='1.jpg')
        found = _read_image(path, 0, (entry, 1, []))
        assert (found.annotated[0] == wanted.annotated[index]).all()
        # the HDF5 file has whole pixels
        offset = found.keypoints[0] - wanted.keypoints[index]
        assert ((offset >= 0) & (offset < 1)).all()
        for field in ('head_sizes', 'centers', 'scales'):
            np.testing.assert_allclose(
                getattr(found, field)[0], getattr(wanted, field)[index]
            )


def test_files_that_are_refused(tmp_path):
    path = tmp_path / 'release.mat'

    def refused(match):
        with pytest.raises(ValueError, match=match) as error:
            read_release(path)
        assert str(path) in str(error.value)

    path.write_bytes(b'no MATLAB file at all')
    refused('not a MATLAB file')
    mpii_files.write_release(
        path, {'1.jpg': [mpii_files.standing_person(50, 90)]}
    )
    path.write_bytes(path.read_bytes()[:900])
    refused('not a MATLAB file')
    savemat(path, dict(pred=1))
    refused('no RELEASE.annolist')

    good = mpii_files.standing_person(50, 90)
    for people, match in (
        ([good, mpii_files.person({16: (1, 2)})], 'person 2 .* id 16'),
        ([mpii_files.person({3: (np.nan, 2)})], r'person 1: joint 3 .*nan'),
        (
            [good, dict(good, x1=4, x2=4, y1=7, y2=7)],
            'person 2 has a head of size 0',
        ),
        ([dict(good, scale='tall')], "person 1 has scale = 'tall'"),
    ):
        mpii_files.write_release(path, {'0.jpg': [good], '5.jpg': people})
        refused(f'image 5.jpg, {match}')
    mpii_files.write_release(path, {'5.jpg': [good]}, single={0: [2]})
    refused(r'image 5.jpg lists \[2\] in single_person, but has 1 people')
    mpii_files.write_release(path, {'5.jpg': [good]}, train=[1, 1])
    refused('1 images in annolist, 2 in img_train')
    twice = mpii_files.person({1: (1, 2), 2: (3, 4)})
    twice['annopoints'][0, 0]['point'][0, 1]['id'] = 1
    mpii_files.write_release(path, {'5.jpg': [twice]})
    refused('person 1 has two points with the id 1')
