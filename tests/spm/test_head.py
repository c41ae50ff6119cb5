"""SPM's head: its stages, MoveNet's in their place, and its losses."""

import math

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from spm_maps import (
    SIZE,
    codec_config,
    make_head,
    make_poses,
    make_samples,
    pictures,
)

from rmpe_spm import MapFocalLoss, MapL1Loss, MapL2Loss
from rmpe_spm.engine.movenet_weights import to_hierarchical
from rmpe_spm.spm.head import SPMHead
from rmpe_spm.spm.stage import SPMStage, build_tower

BN = dict(type='BN')
OFFSET_LOSS = dict(joint_offset_loss=dict(type='MapL1Loss'))


def test_stages_and_their_initialisation():
    tower, channels = build_tower(8, BN, 2, channels=6, kernel_size=3)
    assert channels == 6
    assert tower(torch.rand(2, 8, 5, 7)).shape == (2, 6, 5, 7)
    assert not any(layer.conv.bias is not None for layer in tower)
    empty, channels = build_tower(8, BN, num_convs=0)
    assert len(empty) == 0 and channels == 8
    head = make_head(num_stages=2, heatmap_head=None)
    head.init_weights()
    for stage in head.stages:
        assert stage.heatmap_layer.in_channels == 256
        for layer in (stage.heatmap_layer, stage.displacement_layer):
            assert 0 < layer.weight.std() < 0.002
            assert (layer.bias == 0).all()
        assert stage.heatmap_tower[0].conv.weight.std() > 0.02


def test_feedback_adds_the_mapped_predictions():
    small = dict(heatmap_head=dict(channels=6), displacement_head=None)
    stage = SPMStage(8, 2, True, False, BN, feedback=True, **small).eval()
    feature = torch.rand(1, 8, 4, 4)
    previous = torch.rand(1, 3, 4, 4), torch.rand(1, 4, 4, 4)
    added = stage.heatmap_feedback(previous[0])
    added = added + stage.displacement_feedback(previous[1])
    with_feedback = stage(feature, previous)
    torch.testing.assert_close(with_feedback, stage(feature + added))
    assert not torch.equal(with_feedback[0], stage(feature)[0])


@pytest.mark.parametrize('feedback', [False, True])
def test_stages(feedback):
    codec = dict(generate_keypoint_heatmaps=True)
    options = dict(num_stages=3, feedback=feedback, keypoint_heatmaps=True)
    head = make_head(codec=codec, **options).eval()
    feats = torch.rand(4, 2, 8, 6, 8)
    outputs = head.forward_stages(feats)
    assert len(outputs) == 3
    for heatmaps, displacements in outputs:
        assert heatmaps.shape == (2, 18, 6, 8)
        assert displacements.shape == (2, 34, 6, 8)
    torch.testing.assert_close(head(feats), outputs[-1])
    # the first of the four feature maps is not used; an earlier stage's
    # feature reaches the last prediction only through feedback
    other = torch.cat((torch.rand(2, 2, 8, 6, 8), feats[2:]))
    assert torch.equal(head(other)[0], outputs[-1][0]) != feedback


def test_single_stage_takes_the_feature_of_its_index():
    head = make_head(in_index=0).eval()
    feats = (torch.rand(1, 8, 6, 8), torch.rand(1, 99, 3, 4))
    assert head(feats)[0].shape == (1, 1, 6, 8)
    with pytest.raises(ValueError, match='num_stages=3.*2 feature maps'):
        make_head(num_stages=3)(feats)


def test_several_levels_are_added():
    head = make_head(in_index=(0, 2)).eval()
    large, other, small = (torch.rand(1, 8, 6 // s, 8 // s) for s in (1, 1, 2))
    resized = torch.nn.functional.interpolate(
        small, scale_factor=2, mode='bilinear'
    )
    expected = head.stages[0](large + resized)
    torch.testing.assert_close(head((large, other, small)), expected)


def test_loss_is_the_papers():
    """Sums over the map and the windows, so that beta keeps its meaning."""
    head = make_head()
    samples, maps = pictures(head, make_poses(2), make_poses(1, seed=1))
    heatmaps, displacements = maps
    zero = [torch.zeros_like(own) for own in maps]
    head.forward_stages = lambda feats: [zero]
    losses = head.loss(None, samples)
    assert set(losses) == {'loss/heatmap', 'loss/displacement'}
    torch.testing.assert_close(losses['loss/heatmap'], (heatmaps**2).sum() / 2)
    torch.testing.assert_close(
        losses['loss/displacement'], 0.01 * displacements.abs().sum() / 2
    )
    # about pi sigma^2 / 2 for each of the three people
    assert 30 < losses['loss/heatmap'] * 2 < 3 * 14.2
    # and two stages are summed
    head.forward_stages = lambda feats: [zero, zero]
    twice = head.loss(None, samples)
    for key in losses:
        torch.testing.assert_close(twice[key], 2 * losses[key])
    # what is predicted off the windows is no matter for displacements
    weights = torch.stack([s.gt_fields.displacement_weights for s in samples])
    off = displacements + (1 - weights) * 9
    head.forward_stages = lambda feats: [(heatmaps, off)]
    assert all(value == 0 for value in head.loss(None, samples).values())


def test_keypoint_and_joint_offset_losses():
    maps_of = ('generate_keypoint_heatmaps', 'generate_joint_offsets')
    head = make_head(
        codec=dict.fromkeys(maps_of, True),
        keypoint_heatmaps=True,
        keypoint_loss=dict(type='MapL2Loss', loss_weight=0.5),
        joint_offset_loss=dict(type='MapL1Loss'),
    )
    samples, (heatmaps, displacements) = pictures(head, make_poses(2))
    head.forward_stages = lambda feats: [(0 * heatmaps, 0 * displacements)]
    losses = head.loss(None, samples)
    for name, expected in dict(
        keypoint=0.5 * (heatmaps[:, :-1] ** 2).sum(),
        heatmap=(heatmaps[:, -1:] ** 2).sum(),
        joint_offset=0.01 * samples[0].gt_fields.joint_offsets.abs().sum(),
    ).items():
        torch.testing.assert_close(losses[f'loss/{name}'], expected)
    head.forward_stages = lambda feats: [(heatmaps, displacements)]
    losses = head.loss(None, samples)
    assert sum(losses.values()) < 1e-4


def test_crowd_regions_reach_the_loss():
    """From the annotation through the pipeline to the loss: what is
    predicted on unlabelled people costs nothing."""
    pipeline = Compose(
        [
            dict(type='GenerateTarget', encoder=codec_config()),
            dict(type='BottomupGetHeatmapMask'),
            dict(type='PackPoseInputs'),
        ]
    )
    packed = pipeline(
        dict(
            img=np.zeros((96, 128, 3), dtype=np.uint8),
            img_shape=(96, 128),
            input_size=SIZE,
            keypoints=make_poses(1),
            keypoints_visible=np.ones((1, 17)),
            invalid_segs=[[[64.0, 0, 127, 0, 127, 95, 64, 95]]],
            warp_mat=np.eye(2, 3, dtype=np.float32),
        )
    )
    head = make_head()
    sample = packed['data_samples']
    mask = sample.gt_fields.heatmap_mask
    assert mask[0, 5, 5] and not mask[0, 5, 25]

    def loss_with(x):
        heatmaps = sample.gt_fields.heatmaps[None].clone()
        heatmaps[0, 0, 5, x] += 1
        maps = heatmaps, sample.gt_fields.displacements[None]
        head.forward_stages = lambda feats: [maps]
        return head.loss(None, [sample])['loss/heatmap'].item()

    assert loss_with(5) == pytest.approx(1)
    assert loss_with(25) < 1e-5


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_stages=2, in_index=(0, 1)), 'num_stages=2 the stages take'),
        (dict(codec=dict(kinematics='crowdpose')), 'tree has 14 joints'),
        (dict(keypoint_heatmaps=True), 'generate_keypoint_heatmaps=False'),
        (dict(keypoint_offsets=True), 'generate_keypoint_offsets=False'),
        (OFFSET_LOSS, 'generate_joint_offsets=True'),
    ],
)
def test_options_that_do_not_fit_the_codec(options, message):
    with pytest.raises(ValueError, match=message):
        make_head(**options)


def test_a_head_without_a_codec_gives_maps_only():
    with pytest.raises(ValueError, match='needs `decoder`, a codec with'):
        SPMHead(8, 17, **OFFSET_LOSS)
    with pytest.raises(RuntimeError, match='decoder'):
        SPMHead(8, 17).predict(None, [])


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


@pytest.mark.parametrize(
    ('loss', 'whole', 'masked'),
    [
        (MapL2Loss(loss_weight=2.0), 2 * (30 + 3.5) / 2, 2 * (14 + 3.5) / 2),
        (MapL1Loss(loss_weight=2.0), 2 * (10 + 3.5) / 2, 2 * (6 + 3.5) / 2),
    ],
)
def test_sum_over_cells_mean_over_images(loss, whole, masked):
    output = torch.zeros(2, 1, 2, 2)
    target = torch.tensor([[[[1.0, 2], [-3, 4]]], [[[1, 1], [1, -1]]]])
    weights = torch.ones(2, 1, 2, 2)
    weights[1, 0, 0, 0] = 0.5
    mask = torch.ones(2, 1, 2, 2, dtype=torch.bool)
    mask[0, 0, 1, 1] = False
    assert loss(output, target, weights).item() == whole
    assert loss(output, target, weights, mask).item() == masked
    # the same maps twice are the same loss
    twice = [torch.cat((t, t)) for t in (output, target, weights, mask)]
    assert loss(*twice) == masked


def test_half_precision_sums_in_float32():
    output = torch.zeros(1, 1, 300, 300, dtype=torch.float16)
    loss = MapL2Loss()(output, output + 1, torch.ones_like(output))
    assert loss.dtype == torch.float32 and loss == 90000


def test_focal_loss_by_hand():
    output = torch.tensor([0.25, 0.5, 0.5, 0.0, 1.0]).reshape(1, 1, 1, 5)
    target = torch.tensor([0.9, 0.5, 0.0, 0.0, 1.0]).reshape(1, 1, 1, 5)
    weights = torch.tensor([2.0, 1, 1, 1, 1]).reshape(1, 1, 1, 5)
    expected = (
        2 * 0.75**2 * math.log(4)
        + 0.5**4 * 0.5**2 * math.log(2)
        + 0.5**2 * math.log(2)
    )
    loss = MapFocalLoss(loss_weight=2.0)(output, target, weights)
    assert loss.item() == pytest.approx(2 * expected, abs=1e-4)


def test_focal_loss_teaches_what_was_missed():
    """Behind a sigmoid the squared error has hardly a gradient there."""
    gradients = []
    for loss in (MapFocalLoss(), MapL2Loss()):
        logits = torch.full((1, 1, 1, 1), -6.0, requires_grad=True)
        one = torch.ones(1, 1, 1, 1)
        loss(logits.sigmoid(), one, one).backward()
        gradients.append(logits.grad.item())
    assert gradients[0] < -0.9 and -0.01 < gradients[1] < 0
