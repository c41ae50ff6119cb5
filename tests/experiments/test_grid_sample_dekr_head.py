import torch
from mmpose.models.heads import DEKRHead

from rmpe_spm.experiments.fast_dekr import GridDeformConv2d, GridSampleDEKRHead

CFG = dict(
    in_channels=8,
    num_keypoints=4,
    num_heatmap_filters=4,
    num_displacement_filters_per_keypoint=3,
)


def test_is_dekr_with_the_same_parameters():
    theirs = DEKRHead(**CFG)
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = GridSampleDEKRHead(**CFG)
    ours.load_state_dict(theirs.state_dict())
    features = (torch.randn(2, 8, 9, 7),)
    for one, two in zip(ours(features), theirs(features), strict=True):
        assert one.abs().max() > 0.01
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
    kinds = [type(module) for module in ours.modules()]
    assert kinds.count(GridDeformConv2d) == 2
    assert 'DeformConv2d' not in [kind.__name__ for kind in kinds]
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
