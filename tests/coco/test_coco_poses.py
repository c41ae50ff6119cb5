"""Reading COCO files into poses by image."""

import json

import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import make_pose_set, read_pose_set

PERSON = dict(
    id=1,
    image_id=5,
    bbox=[1, 2, 10, 20],
    area=50,
    keypoints=[1, 2, 2, 3, 4, 0],
    iscrowd=1,
)
POSE = dict(image_id=5, keypoints=[1, 8, 0.5, 7, 4, 0.25], score=0.7)


@pytest.fixture
def write(tmp_path):
    def write_(annotations, results):
        paths = tmp_path / 'annotations.json', tmp_path / 'results.json'
        for path, content in zip(paths, (annotations, results), strict=True):
            path.write_text(json.dumps(content))
        return paths

    return write_


def images(*ids, people=(PERSON,)):
    return dict(images=[dict(id=i) for i in ids], annotations=list(people))


def test_poses_and_people_by_image(write):
    results = [
        POSE,
        dict(POSE, image_id=3, bbox=[0, 1, 5, 6]),
        dict(POSE, score=0.9),
        dict(POSE, image_id=99),
        dict(POSE, keypoints=[1, 2, 0, 3, 4, 0]),
        dict(POSE, image_id=4, keypoints=[6, 8, 0.5, 0, 0, 0]),
    ]
    poses = read_pose_set(*write(images(5, 4, 3), results), 2)
    assert poses.image_ids == [3, 4, 5]
    assert poses.num_poses == 4 and poses.num_unlisted == 1
    assert [s.tolist() for s in poses.scores] == [[0.7], [0.7], [0.7, 0.9]]
    assert poses.keypoints[2][0].tolist() == [[1, 8], [7, 4]]
    assert poses.keypoint_scores[2][0].tolist() == [0.5, 0.25]
    assert poses.keypoints[1].tolist() == [[[6, 8], [0, 0]]]
    assert poses.bboxes_xyxy[0].tolist() == [[0, 1, 5, 7]]
    # a joint that is missing does not stretch the box
    assert poses.bboxes_xyxy[1].tolist() == [[6, 8, 6, 8]]
    assert poses.bboxes_xyxy[2].tolist() == [[1, 4, 7, 8]] * 2
    truth = poses.truths[2]
    assert truth.keypoints.tolist() == [[[1, 2, 2], [3, 4, 0]]]
    assert truth.areas.tolist() == [50] and truth.crowd.tolist() == [True]
    assert poses.truths[0].keypoints.shape == (0, 2, 3)

    part = poses.subset([2, 0])
    assert part.image_ids == [5, 3] and part.num_poses == 3
    assert part.truths[0] is truth


def test_without_areas(write):
    person = {k: v for k, v in PERSON.items() if k not in ('area', 'iscrowd')}
    paths = write(images(5, people=[person]), [POSE])
    with pytest.raises(ValueError, match='annotation 1 of .* has no area'):
        read_pose_set(*paths, 2)
    truth = read_pose_set(*paths, 2, use_area=False).truths[0]
    np.testing.assert_allclose(truth.areas, 0.53 * 200)
    assert truth.crowd.tolist() == [False]


def test_files_that_are_refused(write, tmp_path):
    good = images(5)
    for annotations, results, message in (
        ([], [POSE], 'no COCO annotations'),
        (good, {}, 'not a list of results'),
        (good, [dict(POSE, image_id=6)], 'none of the results'),
        (good, [], 'results.json: empty'),
        (good, [dict(POSE, keypoints=[1, 8, 0] * 2)], 'no pose is left'),
        (good, [POSE, dict(POSE, keypoints=[1])], r'result 1 \(image 5\)'),
        (good, [dict(image_id=5, keypoints=[0] * 6)], 'has no score'),
        (
            images(5, people=[dict(PERSON, keypoints=[1, 2, 3])]),
            [POSE],
            'annotation 1 of image 5 has 3 numbers',
        ),
    ):
        with pytest.raises(ValueError, match=message):
            read_pose_set(*write(annotations, results), 2)
    ann_file, result_file = write(good, [POSE])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_pose_set(ann_file, tmp_path / 'nowhere.json', 2)
    result_file.write_text('{')
    with pytest.raises(ValueError, match='not a JSON file'):
        read_pose_set(ann_file, result_file, 2)


def test_who_counts_in_crowdpose():
    annotations = images(5, people=[dict(PERSON, num_keypoints=0, iscrowd=0)])
    (truth,) = make_pose_set(
        annotations, [POSE], 2, iou_type='keypoints_crowd'
    ).truths
    assert truth.ignored.tolist() == [True]
    (truth,) = make_pose_set(annotations, [POSE], 2).truths
    assert truth.ignored.tolist() == [False]
