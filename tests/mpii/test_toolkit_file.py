"""The toolkit's structure, there and back, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from rmpe_spm.mpii.ap import PredictedPoses
from rmpe_spm.mpii.toolkit_file import read_predictions, write_predictions

IDS = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]


def unit(people, seed=0, missing=False):
    rng = np.random.default_rng(seed)
    return PredictedPoses(
        rng.normal(size=(people, 14, 2)) * 100,
        rng.random((people, 14)),
        rng.random((people, 14)) < 0.7 if missing else None,
    )


def test_structure_by_scipy(tmp_path):
    """Read as MATLAB sees it, without our reader."""
    units, names = [unit(2), unit(0), unit(1, 1)], ['5.jpg', '5.jpg', '06.jpg']
    path = tmp_path / 'new' / 'pred.mat'
    write_predictions(path, units, names)
    pred = loadmat(path)['pred']
    assert pred.shape == (1, 1) and pred.dtype.names == ('annolist',)
    annolist = pred[0, 0]['annolist']
    assert annolist.shape == (1, 3)
    assert [e['image'][0, 0]['name'][0] for e in annolist[0]] == names
    rects = [each['annorect'] for each in annolist[0]]
    assert [rect.size for rect in rects] == [2, 0, 1]
    for rect, written in zip(rects, units, strict=True):
        for person in range(rect.size):
            points = rect[0, person]['annopoints'][0, 0]['point']
            assert points.dtype.names == ('x', 'y', 'id', 'score')
            assert points.shape == (1, 14)
            for joint, values in enumerate(points[0]):
                x, y = written.keypoints[person, joint]
                score = written.scores[person, joint]
                assert [v.item() for v in values] == [x, y, IDS[joint], score]
                assert all(v.dtype == np.float64 for v in values)


@settings(max_examples=15, deadline=None)
@given(
    people=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    missing=st.booleans(),
)
def test_there_and_back(tmp_path_factory, people, missing):
    path = tmp_path_factory.mktemp('pred') / 'pred.mat'
    units = [unit(number, i, missing) for i, number in enumerate(people)]
    names = [f'{index}.jpg' for index in range(len(units))]
    write_predictions(path, units, names)
    again, found_names = read_predictions(path)
    assert found_names == names
    for back, written in zip(again, units, strict=True):
        shown = written.predicted
        if shown is None:
            shown = np.ones(written.scores.shape, bool)
        assert (back.predicted == shown).all()
        assert (back.keypoints[shown] == written.keypoints[shown]).all()
        assert (back.scores[shown] == written.scores[shown]).all()


def test_refused_before_it_is_written(tmp_path):
    path = tmp_path / 'pred.mat'
    good, nan, infinite = unit(1), unit(2), unit(2)
    nan.keypoints[1, 8, 0] = np.nan
    infinite.scores[0, 13] = np.inf
    many = PredictedPoses(np.zeros((1, 16, 2)), np.zeros((1, 16)))
    few = PredictedPoses(np.zeros((2, 14, 2)), np.zeros((1, 14)))
    for units, match in (
        ([], 'no predictions'),
        ([good], 'for 1 units, but images of 2'),
        (
            [good, nan],
            r'entry 2 \(image 6.jpg\): person 1 .*wrist .*nan',
        ),
        ([good, infinite], 'entry 2 .*person 0 .*left_wrist .* score inf'),
        ([good, many], r'entry 2 .*keypoints .*\(1, 16, 2\)'),
        ([good, few], r'entry 2 .*scores .*\(1, 14\).*\(2, 14\)'),
    ):
        with pytest.raises(ValueError, match=match):
            write_predictions(path, units, ['5.jpg', '6.jpg'])
        assert not path.exists()


def points_file(path, points):
    """One person of these points in one image."""
    names = [name for name in ('x', 'y', 'id', 'score') if name in points[0]]
    array = np.empty((1, len(points)), dtype=[(n, 'O') for n in names])
    for index, point in enumerate(points):
        array[0, index] = tuple(point[name] for name in names)
    annolist = dict(
        image=dict(name='5.jpg'), annorect=dict(annopoints=dict(point=array))
    )
    savemat(path, dict(pred=dict(annolist=annolist)))


def test_reading_other_files(tmp_path):
    path = tmp_path / 'pred.mat'
    point = dict(x=1.0, y=2.0, id=9.0, score=0.5)
    # pelvis and thorax are not evaluated, whatever they are
    points_file(path, [dict(point, id=6, x=np.nan), point, dict(point, id=7)])
    (found,), names = read_predictions(path)
    assert names == ['5.jpg']
    assert found.predicted.nonzero()[1].tolist() == [7]
    assert found.keypoints[0, 7].tolist() == [1, 2]
    assert found.scores[0, 7] == 0.5
    with pytest.raises(FileNotFoundError, match='no.mat'):
        read_predictions(tmp_path / 'no.mat')
    scoreless = {k: v for k, v in point.items() if k != 'score'}
    for points, match in (
        ([scoreless], r'entry 1 \(image 5.jpg\): person 1 .* without score'),
        ([dict(point, score=np.zeros(0))], 'person 1 .* without score'),
        ([point, point], 'person 1 has the id 9 twice'),
        ([dict(point, id=16)], 'person 1 has the id 16 of no joint'),
        ([dict(point, id=np.nan)], 'person 1 has the id nan of no joint'),
        (
            [dict(point, y=np.nan)],
            r'entry 1 \(image 5.jpg\): person 1 has x, y, .*nan.* the id 9',
        ),
        (
            [dict(point, x=-np.inf)],
            'has x, y, score = .-inf, 2.0',
        ),
        (
            [dict(point, score=np.nan)],
            r'score = .1.0, 2.0, nan',
        ),
    ):
        points_file(path, points)
        with pytest.raises(ValueError, match=match) as error:
            read_predictions(path)
        assert str(path) in str(error.value)
    empty = np.empty((1, 0), dtype=[('image', 'O'), ('annorect', 'O')])
    for annolist in (empty, np.zeros((0, 0))):
        savemat(path, dict(pred=dict(annolist=annolist)))
        with pytest.raises(ValueError, match='annolist is empty') as error:
            read_predictions(path)
        assert str(path) in str(error.value)
    savemat(path, dict(x=1))
    with pytest.raises(ValueError, match='no pred.annolist'):
        read_predictions(path)
    path.write_text('text')
    with pytest.raises(ValueError, match='not a MATLAB file'):
        read_predictions(path)
