"""Reading and checking of a model's data samples."""

import numpy as np
import pytest
import torch

from rmpe_spm.mpii.samples import read_sample

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


def test_what_is_refused():
    lacking = data_sample()
    del lacking['pred_instances']
    scoreless = data_sample()
    del scoreless['pred_instances']['keypoint_scores']
    unlabelled = data_sample()
    unlabelled['raw_ann_info'] = None
    coco = data_sample()
    coco['raw_ann_info'] = [dict(id=1, keypoints=[])]
    twice = data_sample()
    twice['raw_ann_info'] = [PERSON, PERSON]
    nan = np.zeros((2, 16, 2))
    nan[1, 4, 1] = np.nan
    boxes = np.zeros((2, 4))
    boxes[1, 2] = np.nan
    scores = np.zeros((2, 16))
    scores[0, 5] = np.inf
    for sample, match in (
        (lacking, 'no pred_instances'),
        (scoreless, 'the predictions have no keypoint_scores'),
        (unlabelled, 'without raw_ann_info: use a MpiiMultiPersonDataset'),
        (coco, 'has no "image_id": .* needs a MpiiMultiPersonDataset'),
        (twice, 'the person 3 is annotated twice'),
        (data_sample(joints=17), r'\(2, 17, 2\), but .* has 16 joints'),
        (with_predictions(keypoints=np.zeros((16, 2))), r'shape \(16, 2\)'),
        (
            with_predictions(keypoint_scores=np.zeros((2, 1))),
            r'keypoint_scores have the shape \(2, 1\), but must .*\(2, 16\)',
        ),
        (with_predictions(bbox_scores=np.zeros(3)), r'bbox_scores .*\(3,\)'),
        (with_predictions(bboxes=np.zeros((1, 4))), r'bboxes_xyxy .*\(1, 4'),
        (with_predictions(keypoints=nan), r'keypoints\[1, 4, 1\] is nan'),
        (with_predictions(bboxes=boxes), r'bboxes_xyxy\[1, 2\] is nan'),
        (with_predictions(keypoint_scores=scores), r'scores\[0, 5\] is inf'),
    ):
        with pytest.raises(ValueError, match=match) as error:
            read_sample(sample, 16)
        assert 'image 5' in str(error.value)
