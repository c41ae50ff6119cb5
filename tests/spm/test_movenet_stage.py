"""MoveNet's heads in SPM's."""

import numpy as np
import pytest
import torch
from spm_maps import make_head, make_samples

from rmpe_spm.engine.movenet_weights import to_hierarchical

MAPS = dict(
    keypoint_heatmaps=True,
    keypoint_offsets=True,
    stage=dict(type='MoveNetStage', channels=16),
)


def movenet_head(**codec):
    codec |= dict(
        normalizer=None,
        generate_keypoint_heatmaps=True,
        generate_keypoint_offsets=True,
    )
    return make_head(codec=codec, **MAPS)


def test_the_maps_are_those_of_the_branches():
    head = movenet_head(kinematics='coco-flat')
    feature = torch.randn(2, 8, 6, 7)
    heatmaps, displacements = head([feature])
    [stage] = head.stages
    assert heatmaps.shape == (2, 18, 6, 7)
    assert displacements.shape == (2, 68, 6, 7)
    for maps, branches in (
        (heatmaps.logit(), [stage.keypoint, stage.root]),
        (displacements, [stage.displacement, stage.offset]),
    ):
        expected = torch.cat([branch(feature) for branch in branches], dim=1)
        torch.testing.assert_close(maps, expected)
    plain = make_head(stage=dict(type='MoveNetStage'))([feature])
    assert [tuple(maps.shape[:2]) for maps in plain] == [(2, 1), (2, 34)]


@pytest.mark.parametrize('snap', [dict(), dict(snap_thr=0.1, snap_to='best')])
def test_a_hierarchical_head_starts_with_the_flat_poses(snap):
    torch.manual_seed(0)
    flat = movenet_head(kinematics='coco-flat')
    tree = movenet_head(kinematics='coco')
    state = flat.state_dict()
    for name, value in state.items():
        state[name] = torch.randn_like(value)
    flat.load_state_dict(state)
    for name in ('weight', 'bias'):
        name = f'stages.0.displacement.3.{name}'
        ancestors = tree.decoder.tree.ancestor_matrix
        state[name] = to_hierarchical(state[name], ancestors)
    tree.load_state_dict(state)
    feature = torch.randn(2, 8, 24, 32)
    samples = make_samples(flat.decoder, [np.zeros((0, 17, 2))] * 2)
    with torch.no_grad():
        expected, found = (
            head.predict([feature], samples, snap) for head in (flat, tree)
        )
    for own, other in zip(expected, found, strict=True):
        assert len(other) == len(own) > 5
        np.testing.assert_allclose(other.keypoints, own.keypoints, atol=1e-3)
