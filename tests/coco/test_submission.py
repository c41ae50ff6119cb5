"""Submissions are checked, sorted, and read back as they were meant."""

import copy
import json
import math
import zipfile

import pytest

from rmpe_spm.coco.submission import (
    SUBMISSION_FORMATS,
    find_oddities,
    prepare_results,
    write_submission,
)


def pose(image_id, score, x=0.0, joint_score=0.123456):
    return dict(
        image_id=image_id,
        category_id=1,
        keypoints=[x, 2.34567, joint_score] * 17,
        score=score,
        bbox=[1, 2, 3, 4],
        center=[5, 6],
    )


def test_prepared_by_hand():
    results = [pose(7, 0.2), pose(3, 0.1), pose(7, 0.123456, x=1.005)]
    given = copy.deepcopy(results)
    found = prepare_results(results, {3, 7}, 17)
    assert results == given
    assert found == [
        dict(
            image_id=image,
            category_id=1,
            keypoints=[x, 2.35, 0.123456] * 17,
            score=score,
        )
        for image, score, x in ((3, 0.1, 0), (7, 0.2, 0), (7, 0.123456, 1.0))
    ]


@pytest.mark.parametrize(
    'values,message',
    [
        (dict(image_id=4), r'file: result 1 \(image 4\) is for an image'),
        (dict(category_id=2), 'is of category 2'),
        (dict(keypoints=[0.0] * 42), 'needs 17 times .* has 42 numbers'),
        (dict(score=math.inf), 'has the score inf'),
        (dict(score=True), 'has the score True'),
        (dict(keypoints=[math.nan] * 51), 'has nan as x of joint 0'),
    ],
)
def test_what_is_refused(values, message):
    results = [pose(3, 0.5), dict(pose(3, 0.4), **values)]
    with pytest.raises(ValueError, match=message):
        prepare_results(results, {3}, 17, 'file')


def test_oddities():
    assert find_oddities([pose(1, 0.5), pose(2, 0.4)], 2) == []
    results = [pose(1, 0.5, x=i) for i in range(22)]
    results += [pose(2, 0.5, joint_score=0), pose(2, 0.5, joint_score=0)]
    notes = find_oddities(results, 4)
    assert [note.split(':')[0] for note in notes] == [
        'all 24 poses have the score 0.5',
        '2 poses will not count',
        '2 poses have no joint of a positive score',
        '1 poses are copies of another',
        '2 of 4 images have no pose',
    ]
    results[0]['score'] = -1
    assert '1 poses have a negative score' in find_oddities(results, 4)
    assert len(find_oddities(results[:1], 1)) == 1


def test_coco_archive(tmp_path):
    results = prepare_results([pose(1, 0.5), pose(2, 1 / 3)], {1, 2}, 17)
    path = write_submission(results, 'coco', 'rmpe_a-1', tmp_path / 'new')
    assert path.parent.name == 'new' and len(list(path.parent.iterdir())) == 1
    stem = 'person_keypoints_test-dev2017_rmpe_a-1_results'
    assert path.name == f'{stem}.zip'
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f'{stem}.json']
        assert json.loads(archive.read(f'{stem}.json')) == results


@pytest.mark.parametrize('dataset', ['crowdpose', 'ochuman'])
def test_json_files(tmp_path, dataset):
    results = [dict(image_id=1, score=0.25)]
    path = write_submission(results, dataset, 'spm', tmp_path)
    assert path.name == f'{dataset}_test_spm_results.json'
    assert json.loads(path.read_text()) == results


def test_names_and_numbers_that_are_refused(tmp_path):
    for name in ('', 'a/b', 'a b', 'é', '../a\n'):
        with pytest.raises(ValueError, match="algorithm's name"):
            write_submission([], 'coco', name, tmp_path)
    with pytest.raises(ValueError, match="coco, crowdpose, ochuman: 'mpii'"):
        write_submission([], 'mpii', 'a', tmp_path)
    with pytest.raises(ValueError, match='JSON'):
        write_submission([dict(score=math.nan)], 'coco', 'a', tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_joints_of_the_data_sets():
    numbers = {k: v.num_keypoints for k, v in SUBMISSION_FORMATS.items()}
    assert numbers == dict(coco=17, crowdpose=14, ochuman=17)
