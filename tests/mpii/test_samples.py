"""Reading of a model's data samples, and which group a pose counts for."""

import numpy as np
import pytest
import torch

from rmpe_spm.mpii.samples import (
    SamplePoses,
    annotated_poses,
    gather_units,
    nearest_group,
    read_sample,
)

PERSON = dict(
    id=3, image_id=5, image_name='5.jpg', keypoints=[0.0] * 48, head_size=1.0,
    protocol='image', group_id=0, group_bbox_xyxy=[0, 0, 1, 1],
)  # fmt: skip


def data_sample(number=2, joints=16, **changes):
    poses = np.arange(number * joints * 2.0).reshape(number, joints, 2)
    return dict(
        id=[3],
        img_id=5,
        raw_ann_info=[PERSON],
        gt_instances=dict(bbox_scores=np.array([0.5])),
        pred_instances=dict(
            keypoints=poses, keypoint_scores=np.full((number, joints), 0.25)
        ),
        **changes,
    )


def with_predictions(number=2, **changes):
    sample = data_sample(number)
    sample['pred_instances'].update(changes)
    return sample


def test_bottom_up_sample():
    found = read_sample(data_sample(), 16)
    assert found.sample_id == (3,) and found.people == [PERSON]
    # the extents of the joints; no box was given
    assert found.bboxes_xyxy.tolist() == [[0, 1, 30, 31], [32, 33, 62, 63]]
    assert found.bbox_scores.tolist() == [1, 1]
    found = read_sample(with_predictions(bbox_scores=np.array([0.1, 0.2])), 16)
    assert found.bbox_scores.tolist() == [0.1, 0.2]
    empty = read_sample(data_sample(0), 16)
    assert empty.keypoints.shape == (0, 16, 2)
    assert empty.bboxes_xyxy.shape == (0, 4)


def test_top_down_sample():
    sample = data_sample(1, 14)
    sample.update(id=7, raw_ann_info=PERSON)
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    sample['pred_instances']['bboxes'] = boxes
    found = read_sample(sample, 14)
    assert found.sample_id == 7 and found.people == [PERSON]
    assert found.bbox_scores.tolist() == [0.5]
    assert found.bboxes_xyxy.tolist() == boxes.tolist()
    assert found.keypoints.dtype == np.float64


def spoiled(shape, place, value):
    array = np.zeros(shape)
    array[place] = value
    return array


@pytest.mark.parametrize(
    'sample,match',
    [
        (
            dict(data_sample(), raw_ann_info=None),
            'Use a MpiiMultiPersonDataset, and keep "ra',
        ),
        (
            dict(data_sample(), raw_ann_info=[dict(id=1, keypoints=[])]),
            'with "image_id". Use a MpiiMultiPersonDataset',
        ),
        (data_sample(joints=17), r'\(2, 17, 2\), but must .*\(2, 16, 2\)'),
        (with_predictions(bboxes=np.zeros((1, 4))), r'bboxes .*\(1, 4'),
        (
            with_predictions(keypoints=spoiled((2, 16, 2), (1, 4, 1), np.nan)),
            r'keypoints\[1, 4, 1\] is nan',
        ),
        (
            with_predictions(keypoint_scores=spoiled((2, 16), (0, 5), np.inf)),
            r'scores\[0, 5\] is inf',
        ),
    ],
)
def test_what_is_refused(sample, match):
    with pytest.raises(ValueError, match=match) as error:
        read_sample(sample, 16)
    assert 'image 5' in str(error.value)


def person(number, group, box, image=5, protocol='group', head=30.0):
    return dict(
        id=number,
        image_id=image,
        image_name=f'{image}.jpg',
        keypoints=[1.0, 2.0, 2.0] * 16,
        head_size=head,
        protocol=protocol,
        group_id=group,
        group_bbox_xyxy=box,
    )


def sample(sample_id, people, places, image=5):
    """Poses of 16 joints about these places."""
    poses = np.reshape(places, (-1, 1, 2)) + np.linspace(-3, 3, 16)[:, None]
    number = len(poses)
    return SamplePoses(
        sample_id,
        image,
        poses,
        np.ones((number, 16)),
        np.zeros((number, 4)),
        np.ones(number),
        people,
    )


def test_nearest_group_by_hand():
    boxes = np.array([[0, 0, 100, 100], [60, 0, 100, 40], [300, 0, 310, 5]])
    places = [(10, 90), (81, 20), (70, 32), (200, 50), (305, 5), (305, 5.1)]
    poses = np.concatenate(
        [np.reshape(places, (-1, 1, 2)) + d for d in ([-7, 2], [7, -2])], 1
    )
    # (70, 32) is 26.9 of 70.7 from the first centre, 15.6 of 28.3 from the
    # second
    assert nearest_group(poses, boxes).tolist() == [0, 1, 0, -1, 2, -1]
    assert nearest_group(poses[:0], boxes).shape == (0,)


LEFT, RIGHT = [0, 0, 100, 100], [80, 0, 200, 100]


def test_group_samples_keep_what_is_theirs():
    """Bottom-up: each group's image part also shows the others."""
    one, two = person(1, 0, LEFT), person(2, 1, RIGHT)
    places = [(50, 50), (150, 50), (85, 50), (50, 300)]
    samples = [sample((1,), [one], places), sample((2,), [two], places)]
    units, left_out = gather_units(samples)
    assert [unit['group_id'] for unit in units] == [0, 1]
    # 85 is 35 of 70.7 from the left centre and 55 of 78.1 from the right
    assert [unit.poses for unit in units] == [[0, 2], [4 + 1]]
    assert left_out == 5
    assert units[0].people == {1: one} and units[0]['image_name'] == '5.jpg'


def test_detections_go_where_they_lie():
    """Every detection knows all people of its image; the first also others."""
    people = [person(1, 0, LEFT), person(2, 1, RIGHT)]
    missed = person(3, 2, LEFT, image=6)
    samples = [
        sample(0, [*people, missed], [(150, 50)]),
        sample(1, people, [(50, 50)]),
        sample(2, people, [(900, 50)]),
    ]
    units, left_out = gather_units(samples)
    assert [unit.poses for unit in units] == [[1], [0], []]
    assert [unit['image_id'] for unit in units] == [5, 5, 6] and left_out == 1


def test_whole_images_take_everything():
    people = [person(n, 0, LEFT, protocol='image') for n in (1, 2)]
    samples = [
        sample(1, [people[0]], [(50, 50)]),
        sample(2, [people[1]], [(900, 900)]),
    ]
    (unit,), left_out = gather_units(samples)
    assert unit.poses == [0, 1] and left_out == 0
    assert list(unit.people) == [1, 2]


def test_samples_that_do_not_fit_one_another():
    with pytest.raises(ValueError, match='no results to evaluate'):
        gather_units([])
    twice = [sample(1, [person(1, 0, LEFT)], [])] * 2
    with pytest.raises(ValueError, match='image 5: the results of 1 came tw'):
        gather_units(twice)


def test_annotated_poses():
    people = [person(1, 0, LEFT), person(2, 0, LEFT, head=None)]
    people[0]['keypoints'] = np.c_[
        np.arange(16.0), np.arange(16.0), 2 * (np.arange(16) % 2)
    ].ravel()
    with pytest.raises(
        ValueError, match='image 5.jpg .* person 2 has no head'
    ):
        annotated_poses(people)
    people[1]['keypoints'] = [0.0] * 48
    found = annotated_poses(people)
    kept = [0, 1, 2, 3, 4, 5, *range(8, 16)]
    assert found.keypoints[0, :, 0].tolist() == kept
    assert found.annotated[0].tolist() == [False, True] * 7
    assert not found.annotated[1].any()
    assert found.head_sizes[0] == 30 and np.isnan(found.head_sizes[1])
