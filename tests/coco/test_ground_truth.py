"""Poses and people by image, and the OKS of one with the other, by hand."""

import json

import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import (
    FlatGroundTruth,
    ImageGroundTruth,
    read_pose_set,
)

PERSON = dict(
    id=1,
    image_id=5,
    bbox=[1, 2, 10, 20],
    area=50,
    keypoints=[1, 2, 2, 3, 4, 0],
    iscrowd=1,
)
POSE = dict(image_id=5, keypoints=[1, 8, 0.5, 7, 4, 0.25], score=0.7)


def truth(keypoints, visible=2):
    joints = np.c_[keypoints, np.full(len(keypoints), visible)]
    return ImageGroundTruth(
        joints[None], np.array([[0.0, 0, 10, 10]]), np.array([100.0]),
        np.array([False]),
    )  # fmt: skip


def test_oks_by_hand():
    person = np.array([[0.0, 0.0], [10.0, 0.0]])
    one = truth(person)
    one.keypoints[0, 1, 2] = 0
    poses = np.array([[[3.0, 4.0], [99.0, 99.0]], [[0.0, 0], [0, 0]]])
    nobody = truth(person, visible=0)
    people = FlatGroundTruth([one, nobody])
    oks = people.oks(
        poses[[0, 1, 0, 1]], np.array([0, 0, 1, 1]), np.full(2, 0.5)
    )
    # 25 / (1^2 * 100 * 2), the second joint isn't labelled; for the other
    # person (99, 99) is 79 beyond the box (-10, -10, 20, 20)
    np.testing.assert_allclose(
        oks,
        [np.exp(-0.125), 1, (1 + np.exp(-2 * 79**2 / 200)) / 2, 1],
    )
    assert nobody.ignored.tolist() == [True]
    assert one.ignored.tolist() == [False]


@pytest.fixture
def read(tmp_path):
    """Write annotations and results and read them back."""
    paths = tmp_path / 'annotations.json', tmp_path / 'results.json'

    def read_(*contents, **options):
        for path, content in zip(paths, contents, strict=True):
            path.write_text(json.dumps(content))
        return read_pose_set(*paths, 2, **options)

    return read_


# somebody has to be found
OTHER = dict(PERSON, id=2, image_id=4, iscrowd=0)


def images(*ids, people=(PERSON, OTHER)):
    return dict(images=[dict(id=i) for i in ids], annotations=list(people))


def test_poses_and_people_by_image(read):
    results = [
        POSE,
        dict(POSE, image_id=3, bbox=[0, 1, 5, 6]),
        dict(POSE, score=0.9),
        dict(POSE, image_id=99),
        dict(POSE, keypoints=[1, 2, 0, 3, 4, 0]),
        dict(POSE, image_id=4, keypoints=[6, 8, 0.5, 0, 0, 0]),
    ]
    poses = read(images(5, 4, 3), results)
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
    known = poses.truths[2]
    assert known.keypoints.tolist() == [[[1, 2, 2], [3, 4, 0]]]
    assert known.areas.tolist() == [50] and known.crowd.tolist() == [True]
    assert poses.truths[0].keypoints.shape == (0, 2, 3)

    part = poses.subset([2, 0])
    assert part.image_ids == [5, 3] and part.num_poses == 3
    assert part.truths[0] is known


def test_without_areas(read):
    person = {k: v for k, v in PERSON.items() if k not in ('area', 'iscrowd')}
    contents = images(5, people=[person]), [POSE]
    with pytest.raises(ValueError, match='annotation 1 of .* area None'):
        read(*contents)
    known = read(*contents, use_area=False).truths[0]
    np.testing.assert_allclose(known.areas, 0.53 * 200)
    assert known.crowd.tolist() == [False]


def test_results_of_other_images(read):
    with pytest.raises(ValueError, match='none of the results'):
        read(images(4, 5), [dict(POSE, image_id=6)])
