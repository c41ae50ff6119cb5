"""Results are checked entry by entry, and read back as they were meant."""

import copy
import json
import math
import zipfile

import pytest

from rmpe_spm.coco import results as module
from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.evaluation import evaluate_keypoints
from rmpe_spm.coco.results import (
    check_results,
    check_scored,
    make_submission,
    read_detections,
)
from rmpe_spm.errors import ConfigError
from rmpe_spm.oks import COCO_SIGMAS

NAN = math.nan


def poses():
    """Three poses of two joints on the images 5 and 6."""
    pose = dict(category_id=1, keypoints=[1, 8, 0.5, 7, 4, 0.25], score=0.7)
    pose['bbox'] = [0, 1, 5, 6]
    return [copy.deepcopy(dict(pose, image_id=i)) for i in (5, 6, 6)]


@pytest.mark.parametrize(
    'values, said',
    [
        (dict(image_id=7), r'\(image 7\) is for an image that .* not list'),
        (dict(image_id=None), r'\(image None\) has no image_id'),
        *(
            (dict(image_id=value), 'has an image_id that is not a whole numb')
            for value in ('5', [5], {}, True)
        ),
        *((dict(category_id=v), 'is of category') for v in (2, '1', [1])),
        (dict(score=10**400), 'has the score 1.*, not a finite number'),
        (dict(keypoints=[1, 10**400, 0.5, 3, 2, 1]), 'has 1.* as y of joint'),
        (dict(category_id=None), 'has no category_id'),
        (dict(score=None), 'has no score'),
        (dict(score=NAN), 'has the score nan, not a finite number'),
        (dict(score=math.inf), 'has the score inf, not a finite number'),
        (dict(score='0.5'), 'has the score 0.5, not a finite number'),
        (dict(score=True), 'has the score True, not a finite number'),
        (dict(keypoints=None), 'no numbers as keypoints, but 6 are needed'),
        (dict(keypoints=[1] * 9), '9 numbers as keypoints, but 6 are needed'),
        (dict(keypoints=[1, 2, 0.5, 3, NAN, 1]), 'has nan as y of joint 1'),
        (
            dict(keypoints=[1, 2, math.inf, 3, -math.inf, 1]),
            'has inf as score of joint 0',
        ),
        (dict(keypoints=[1, 2, 1, None, 4, 1]), 'has None as x of joint 1'),
        (dict(bbox=[0, 1, NAN, 2]), 'has the bbox .*, not 4 finite numbers'),
        (dict(bbox=[0, 1]), 'has the bbox .*, not 4 finite numbers'),
    ],
)
def test_the_first_bad_result_is_named(values, said):
    results = poses()
    check_results(results, 2, {5, 6}, {1})
    for result in results[1:]:
        result.update(values)
        for name in [n for n, value in values.items() if value is None]:
            del result[name]
    with pytest.raises(ConfigError, match=f'^file: result 1 .*{said}'):
        check_results(results, 2, {5, 6}, {1}, source='file')


def test_results_that_are_fine():
    results = poses()
    results[0].update(image_id=99, bbox=[])
    del results[1]['category_id'], results[1]['bbox']
    # the sum of finite numbers may not be finite
    results[2]['keypoints'][:2] = [1.7e308, 1.7e308]
    check_results(results, 2)


def test_no_results():
    with pytest.raises(ConfigError, match='file: empty'):
        check_results([], 2, source='file')
    with pytest.raises(ConfigError, match='file: not a list .* but dict'):
        check_results({}, 2, source='file')
    with pytest.raises(ConfigError, match=r'result 0 \(image \?\)'):
        check_results([3], 2)


def test_poses_without_a_positive_score(logged):
    said = logged(module)
    results = poses()
    check_scored(results)
    assert said == []
    results[1]['keypoints'][2::3] = [0, 0]
    results[2]['keypoints'][2::3] = [0, -0.5]
    check_scored(results, 'file')
    (text,) = said
    assert text.startswith('file: 2 of 3 poses have no joint with a score')
    assert 'result 1, image 6' in text
    results[0]['keypoints'][2::3] = [0, 0]
    with pytest.raises(
        ConfigError, match='3 of 3 .* image 5.*no pose is left'
    ):
        check_scored(results)
    check_scored(results, strict=False)
    assert 'no pose is left, and AP would be 0' in said[1]


@pytest.fixture
def detections(tmp_path):
    """Write a good detection and another, and read the file."""
    good = dict(image_id=1, category_id=1, bbox=[0, 0, 1, 1], score=0.5)

    def read(*others, annotations=None):
        path = tmp_path / 'boxes.json'
        boxes = [good, *(dict(good, **other) for other in others)]
        path.write_text(json.dumps(boxes))
        return read_detections(path, annotations)

    read.path = tmp_path / 'boxes.json'
    return read


@pytest.mark.parametrize(
    'values, said',
    [
        (dict(score=None), 'has the score .*, not a number'),
        (dict(score='high'), 'has the score .*, not a number'),
        (dict(score=NAN), 'has the score .*, not a number'),
        (dict(bbox=[3, 3, NAN, 40]), 'not 4 finite numbers'),
        (dict(bbox=[3, 3, 30]), 'not 4 finite numbers'),
        (dict(image_id=[1]), r'the image_id \[1\], not a number'),
        (dict(image_id='1'), "the image_id '1', not a number"),
        (dict(image_id=9), 'is of image 9, which people.json does not list'),
    ],
)
def test_the_first_bad_detection_is_named(detections, values, said):
    people = KeypointAnnotations(dict(images=[dict(id=1)]), 'people.json')
    with pytest.raises(
        ConfigError, match=rf'boxes\.json: detection 2 .*{said}'
    ):
        detections({}, values, values, annotations=people)
    # not a person: mmpose passes it over
    others = dict(values, category_id=3)
    assert len(detections({}, others, annotations=people)) == 2


def test_detections_that_are_fine(detections):
    """Boxes of nothing are evaluated; any image, if none are listed."""
    assert len(detections(dict(image_id=9), dict(bbox=[9, 9, 0, -1]))) == 3


def test_files_without_detections(detections):
    for text, said in (
        ('{"annotations": []}', 'not a list of detections'),
        ('[{}]', 'detection 0 has no category_id'),
        ('[]', 'no detection of a person'),
        ('[{"category_id": 2}]', 'no detection of a person'),
    ):
        detections.path.write_text(text)
        with pytest.raises(ConfigError, match=rf'boxes\.json.*{said}'):
            read_detections(detections.path)


def contents(path):
    """What a server reads."""
    if path.suffix == '.json':
        return json.loads(path.read_text())
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        assert archive.testzip() is None
        assert name == path.with_suffix('.json').name
        return json.loads(archive.read(name))


def test_a_submission_evaluates_as_its_results(fixture_files, tmp_path):
    names = 'lightweight_openpose_results', 'coco_val_subset250'
    results, annotations = fixture_files(*names)
    files = [fixture_files.folder / f'{name}.json' for name in names]
    made = make_submission(*files, 'coco', 'a', tmp_path)
    written = contents(made.path)
    assert made.num_poses == len(written) == len(results) == 524
    assert made.num_images == 135
    assert [(r['image_id'], -r['score']) for r in written] == sorted(
        (r['image_id'], -r['score']) for r in results
    )
    expected = evaluate_keypoints(annotations, results, COCO_SIGMAS)
    found = evaluate_keypoints(annotations, written, COCO_SIGMAS)
    assert found == pytest.approx(expected, abs=2e-4)
    assert made.notes == [
        '52 poses will not count: of each image only the 20 best do',
        '115 of 250 images have no pose',
    ]


def pose(image_id, score, x=0.0, joint_score=0.123456):
    return dict(
        image_id=image_id,
        category_id=1,
        keypoints=[x, 2.34567, joint_score] * 17,
        score=score,
        bbox=[1, 2, 3, 4],
        center=[5, 6],
    )


@pytest.fixture
def submit(tmp_path):
    """Make a submission of results on the images 1 to N."""

    def submit(results, dataset='coco', name='rmpe_a-1', num_images=3):
        images = [dict(id=i) for i in range(1, num_images + 1)]
        files = tmp_path / 'results.json', tmp_path / 'images.json'
        files[0].write_text(json.dumps(results))
        files[1].write_text(json.dumps(dict(images=images)))
        return make_submission(*files, dataset, name, tmp_path / 'new')

    submit.folder = tmp_path / 'new'
    return submit


@pytest.mark.parametrize(
    'dataset, name',
    [
        ('coco', 'person_keypoints_test-dev2017_rmpe_a-1_results.zip'),
        ('ochuman', 'ochuman_test_rmpe_a-1_results.json'),
    ],
)
def test_a_submission_by_hand(submit, dataset, name):
    results = [pose(2, 0.2), pose(1, 1 / 3), pose(2, 0.123456, x=1.005)]
    made = submit(results, dataset)
    assert made.path == submit.folder / name
    assert list(submit.folder.iterdir()) == [made.path]
    assert contents(made.path) == [
        dict(
            image_id=image,
            category_id=1,
            keypoints=[x, 2.35, 0.123456] * 17,
            score=score,
        )
        for image, score, x in ((1, 1 / 3, 0), (2, 0.2, 0), (2, 0.123456, 1.0))
    ]


def test_oddities_of_a_submission(submit):
    def notes(results, num_images):
        return submit(results, num_images=num_images).notes

    assert notes([pose(1, 0.5), pose(2, 0.4)], 2) == []
    results = [pose(1, 0.5, x=i) for i in range(22)]
    results += [pose(2, 0.5, joint_score=0), pose(2, 0.5, joint_score=0)]
    assert [note.split(':')[0] for note in notes(results, 4)] == [
        'all 24 poses have the score 0.5',
        '2 poses will not count',
        '2 poses have no joint of a positive score',
        '1 poses are copies of another',
        '2 of 4 images have no pose',
    ]
    results[0]['score'] = -1
    assert '1 poses have a negative score' in notes(results, 4)
    assert len(notes(results[:1], 1)) == 1


@pytest.mark.parametrize(
    'results, dataset, name, said',
    [
        ([pose(1, 1)], 'crowdpose', 'a', 'results.json: .* but 42 are need'),
        ([pose(4, 1)], 'coco', 'a', r'result 0 \(image 4\) is for an image'),
        ([dict(pose(1, 1), category_id=2)], 'coco', 'a', 'of category 2'),
        ([pose(1, 1)], 'mpii', 'a', "coco, crowdpose, ochuman: 'mpii'"),
        *(
            ([pose(1, 1)], 'coco', name, "algorithm's name")
            for name in ('', 'a/b', 'a b', 'é', '../a\n')
        ),
    ],
)
def test_submissions_that_are_refused(submit, results, dataset, name, said):
    with pytest.raises(ConfigError, match=said):
        submit(results, dataset, name)
    assert not submit.folder.exists()


def test_a_file_in_place_of_the_folder(submit):
    submit.folder.write_text('')
    with pytest.raises(ConfigError, match='new is no folder: .* --out-dir'):
        submit([pose(1, 0.5)])
