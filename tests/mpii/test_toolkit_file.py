"""The toolkit's file: its structure, there and back, and as a submission."""

import shutil
import subprocess

import mpii_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from rmpe_spm.mpii.ap import PredictedPoses
from rmpe_spm.mpii.toolkit_file import (
    make_mpii_submission,
    read_predictions,
    write_predictions,
)

IDS = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]


def unit(people, seed=0, missing=False):
    rng = np.random.default_rng(seed)
    return PredictedPoses(
        rng.normal(size=(people, 14, 2)) * 100,
        rng.random((people, 14)),
        rng.random((people, 14)) < 0.7 if missing else None,
    )


def test_structure_by_scipy(tmp_path):
    """Read as MATLAB sees it, without our reader: pred(i).annorect(k)."""
    units, names = [unit(2), unit(0), unit(1, 1)], ['5.jpg', '5.jpg', '06.jpg']
    path = tmp_path / 'new' / 'pred.mat'
    write_predictions(path, units, names)
    pred = loadmat(path)['pred']
    assert pred.shape == (1, 3) and 'annorect' in pred.dtype.names
    assert [e['image'][0, 0]['name'][0] for e in pred[0]] == names
    rects = [each['annorect'] for each in pred[0]]
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


OCTAVE = """
load(argv(){1});
printf('%d\\n', length(pred));
for i = 1:length(pred)
  printf('%d\\n', length(pred(i).annorect));
  for k = 1:length(pred(i).annorect)
    point = pred(i).annorect(k).annopoints.point;
    assert(isstruct(point) && isfield(point, 'score'));
    printf('%.17g ', [point.x], [point.y], [point.id], [point.score]);
    printf('\\n');
  end
end
"""


def test_structure_by_octave(tmp_path):
    """As the toolkit reads it, which runs in MATLAB and in Octave."""
    octave = shutil.which('octave-cli') or shutil.which('octave')
    if octave is None:
        pytest.skip('Octave is not installed')
    path, script = tmp_path / 'pred.mat', tmp_path / 'read.m'
    units = [unit(2), unit(0), unit(1, 1, missing=True)]
    write_predictions(path, units, ['a.jpg', 'a.jpg', 'b.jpg'])
    script.write_text(OCTAVE)
    text = subprocess.run(
        [octave, '--norc', script, path], capture_output=True, check=True
    ).stdout
    expected = [[len(units)]]
    for each in units:
        expected.append([len(each.keypoints)])
        for joints, scores, shown in zip(
            each.keypoints, each.scores, each.predicted, strict=True
        ):
            ids = np.array(IDS)
            columns = joints[:, 0], joints[:, 1], ids, scores
            expected.append(np.concatenate([c[shown] for c in columns]))
    lines = text.decode().splitlines()
    for line, values in zip(lines, expected, strict=True):
        assert [float(value) for value in line.split()] == list(values)


@settings(max_examples=15, deadline=None)
@given(
    people=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    missing=st.booleans(),
    old=st.booleans(),
)
def test_there_and_back(tmp_path_factory, people, missing, old):
    path = tmp_path_factory.mktemp('pred') / 'pred.mat'
    units = [unit(number, i, missing) for i, number in enumerate(people)]
    names = [f'{index}.jpg' for index in range(len(units))]
    write_predictions(path, units, names)
    if old:  # pred.annolist(i)
        savemat(path, dict(pred=dict(annolist=loadmat(path)['pred'])))
    again, found_names = read_predictions(path)
    assert found_names == names
    for back, written in zip(again, units, strict=True):
        shown = written.predicted
        assert (back.predicted == shown).all()
        assert (back.keypoints[shown] == written.keypoints[shown]).all()
        assert (back.scores[shown] == written.scores[shown]).all()


POINT = dict(x=1.0, y=2.0, id=9.0, score=0.5)
SCORELESS = {name: value for name, value in POINT.items() if name != 'score'}


def points_file(path, points):
    """One person of these points in one image."""
    points = mpii_files.struct(points, list(points[0]))
    pred = dict(
        image=dict(name='5.jpg'), annorect=dict(annopoints=dict(point=points))
    )
    savemat(path, dict(pred=pred))


def test_pelvis_and_thorax_are_not_read(tmp_path):
    path = tmp_path / 'pred.mat'
    # whatever they are
    points_file(path, [dict(POINT, id=6, x=np.nan), POINT, dict(POINT, id=7)])
    (found,), names = read_predictions(path)
    assert names == ['5.jpg']
    assert found.predicted.nonzero()[1].tolist() == [7]
    assert found.keypoints[0, 7].tolist() == [1, 2]
    assert found.scores[0, 7] == 0.5


@pytest.mark.parametrize(
    'points,match',
    [
        ([SCORELESS], 'id 9 and x, y, score = .1.0, 2.0, nan'),
        ([dict(POINT, score=np.zeros(0))], r'score = .1.0, 2.0, nan'),
        ([POINT, POINT], 'id 9 .* each once'),
        ([dict(POINT, id=16)], 'id 16 .* ids are 0 to 15'),
        ([dict(POINT, id=np.nan)], 'id nan'),
        ([dict(POINT, y=np.nan)], 'score = .1.0, nan, 0.5.* finite'),
        ([dict(POINT, x=-np.inf)], 'score = .-inf, 2.0'),
    ],
)
def test_bad_points_are_named(tmp_path, points, match):
    path = tmp_path / 'pred.mat'
    points_file(path, points)
    with pytest.raises(ValueError, match=match) as error:
        read_predictions(path)
    where = f'{path}: entry 1 (image 5.jpg): person 1 has a point with'
    assert str(error.value).startswith(where)


@pytest.mark.parametrize(
    'content', [{}, dict(x=1), dict(pred=1), dict(pred=dict(annolist=[]))]
)
def test_other_files(tmp_path, content):
    path = tmp_path / 'pred.mat'
    with pytest.raises(FileNotFoundError, match='pred.mat'):
        read_predictions(path)
    path.write_text('text')
    with pytest.raises(ValueError, match='pred.mat is not a MATLAB file'):
        read_predictions(path)
    savemat(path, content)
    with pytest.raises(ValueError, match=r'pred.mat .* pred\(i\).annorect'):
        read_predictions(path)


@pytest.fixture
def benchmark(tmp_path):
    """The release and its groups: of three test images the last has none."""
    people = [mpii_files.person({}, center=(x, 50)) for x in (40, 60, 900)]
    images = {f'{n}.jpg': people for n in (1, 2, 3, 4)}
    release = tmp_path / 'release.mat'
    mpii_files.write_release(release, images, train=[1, 0, 0, 0])
    groups = tmp_path / 'groups_v12.mat'
    mpii_files.write_groups(groups, [[[1, 2]], [[3], [1, 2]], [[1, 3]], []])
    return release, groups


def test_submission(benchmark, tmp_path):
    results, folder = tmp_path / 'spm.mat', tmp_path / 'out'
    units, names = [unit(2), unit(0)], ['2.jpg', '3.jpg']
    write_predictions(results, units, names)
    made = make_mpii_submission(results, *benchmark, folder)
    assert made.path == folder / 'pred_keypoints_mpii_multi.mat'
    assert (made.num_poses, made.num_images) == (2, 1)
    assert made.notes == ['1 of 2 groups have no pose']
    found, found_names = read_predictions(made.path)
    assert found_names == names
    np.testing.assert_array_equal(found[0].keypoints, units[0].keypoints)
    for each in units:
        each.scores[:] = 0.5
    write_predictions(results, units, names)
    notes = make_mpii_submission(results, *benchmark, folder).notes
    assert notes[1:] == [
        'all joints have the score 0.5: AP needs scores that rank them'
    ]


@pytest.mark.parametrize(
    'names,entry',
    [
        (['2.jpg'], 2),
        (['3.jpg', '2.jpg'], 1),
        (['2.jpg', '3.jpg', '4.jpg'], 3),
    ],
)
def test_entries_of_other_groups(benchmark, tmp_path, names, entry):
    results = tmp_path / 'spm.mat'
    write_predictions(results, [unit(1)] * len(names), names)
    match = rf'{len(names)} entries.* 2 groups of test images.* entry {entry} '
    with pytest.raises(ValueError, match=match):
        make_mpii_submission(results, *benchmark, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
