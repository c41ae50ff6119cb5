"""The SPPE's head that starts from MoveNet's joint heatmaps."""

import torch
from mmpose.registry import MODELS

from rmpe_spm import MoveNetHeatmapHead, MoveNetStage


def test_it_starts_with_the_joint_heatmaps_of_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    stage = MoveNetStage(8, 17, True, False)
    state = {
        f'head.stages.0.{name}': value
        for name, value in stage.state_dict().items()
    }
    torch.save(dict(state_dict=state), tmp_path / 'movenet.pth')
    head = MODELS.build(
        dict(
            type='MoveNetHeatmapHead',
            in_channels=8,
            out_channels=17,
            init_cfg=dict(
                type='Pretrained',
                checkpoint=str(tmp_path / 'movenet.pth'),
                prefix='head.stages.0.',
            ),
        )
    )
    head.init_weights()
    feature = torch.randn(2, 8, 12, 16)
    heatmaps = head([feature])
    torch.testing.assert_close(heatmaps, stage(feature)[0][:, :17])
    assert heatmaps.min() > 0 and heatmaps.max() < 1


def test_the_last_features_are_used_and_all_weights_trained():
    head = MoveNetHeatmapHead(4, 3, channels=6)
    head([torch.zeros(1, 9, 2, 2), torch.randn(1, 4, 5, 5)]).sum().backward()
    assert all(value.grad is not None for value in head.parameters())
