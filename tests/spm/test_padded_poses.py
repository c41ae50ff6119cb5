import torch

from rmpe_spm.spm.decoding import PaddedPoses, valid_first


def test_valid_ones_first_and_best_first():
    """Joints hold their candidate's number; one image has no pose."""
    number = torch.arange(4.0)
    scores = torch.tensor([[0.2, 0.9, -0.5, 0.2], [0.1, 0.2, 0.3, 0.4]])
    valid = torch.tensor([[True, False, True, True], [False] * 4])
    poses = PaddedPoses(
        keypoints=number[None, :, None, None].expand(2, 4, 3, 2),
        root_scores=scores,
        keypoint_scores=number[None, :, None].expand(2, 4, 3),
        valid=valid,
        finite=torch.tensor([True, False]),
    )
    result = valid_first(poses)
    assert result.keypoints[0, :, 2, 1].tolist() == [0, 3, 2, 1]
    assert result.keypoint_scores[0, :, 1].tolist() == [0, 3, 2, 1]
    torch.testing.assert_close(
        result.root_scores[0], torch.tensor([0.2, 0.2, -0.5, 0.9])
    )
    assert result.valid.tolist() == [[True, True, True, False], [False] * 4]
    assert result.finite.tolist() == [True, False]
    assert result.keypoints.shape == (2, 4, 3, 2)
