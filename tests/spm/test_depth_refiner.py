"""Depths that the whole pose corrects."""

import math

import numpy as np
import pytest
import torch
from people_in_space import (
    PLAIN,
    bodies,
    head_3d,
    network_output,
    samples_3d,
)
from spm_maps import make_head

from rmpe_spm.cameras import project
from rmpe_spm.spm.codec_3d import HierarchicalSPR3DCodec
from rmpe_spm.spm.decoding import Snapping
from rmpe_spm.spm.depth_refiner import DepthRefiner


def random_refiner(num_keypoints, **options):
    torch.manual_seed(0)
    refiner = DepthRefiner(num_keypoints, **options).double()
    torch.nn.init.normal_(refiner.layers[-1].weight)
    return refiner


def test_a_correction_by_hand():
    """Two joints, 24 and 32 pixels apart: u is 10, and c is (12, 16)."""
    refiner = DepthRefiner(2, num_layers=0)
    pose = torch.tensor([[0.0, 0], [24, 32]]), torch.tensor([5.0, -5, 0.3])
    torch.testing.assert_close(refiner(*pose), pose[1])  # untrained
    (layer,) = refiner.layers
    with torch.no_grad():
        layer.weight[0, 0] = 1  # x of the first joint, -1.2
        layer.weight[1, 5] = 2  # depth of the second, -0.5
        layer.weight[2, 6] = 3  # R + ln 0.1
        layer.bias[2] = 0.25
    size = 0.3 + math.log(0.1)
    torch.testing.assert_close(
        refiner(*pose), torch.tensor([5 - 12.0, -5 - 10, 0.55 + 3 * size])
    )
    # joints in u: |-7 - 3| / 10; the second one's depth is not known
    targets = torch.tensor([[3.0, 1e6, 0.55]])
    known = torch.tensor([[True, False, True]])
    loss = refiner.loss(pose[0][None], pose[1][None], targets, known)
    assert loss.item() == pytest.approx((1 + abs(3 * size)) / 2)
    nobody = torch.zeros(0, 2, 2), *torch.zeros(3, 0, 3)
    assert DepthRefiner(2).loss(*nobody) == 0
    # what was seen before counts in later steps
    assert refiner.loss(*nobody).item() == loss.item()
    # who is a point has a size of one pixel
    assert refiner(torch.zeros(2, 2), pose[1]).isfinite().all()


def test_the_size_and_place_of_the_input_change_nothing():
    refiner = random_refiner(17)
    keypoints, depths = torch.rand(5, 17, 2), torch.rand(5, 18)
    keypoints, depths = 90 * keypoints.double(), 9 * depths.double()
    change = refiner(keypoints, depths) - depths
    larger = torch.cat((3 * depths[:, :-1], depths[:, -1:] - math.log(3)), 1)
    moved = refiner(3 * keypoints + 50, larger) - larger
    torch.testing.assert_close(moved[:, :-1], 3 * change[:, :-1])
    torch.testing.assert_close(moved[:, -1:], change[:, -1:])
    assert change.abs().min() > 0


@pytest.mark.parametrize('snapping', [None, Snapping(0.1, 0.5)])
def test_poses_of_all_cells_around_roots(snapping):
    """What is read is what was encoded, with the depths that are known."""
    codec = HierarchicalSPR3DCodec(
        (128, 96),
        (32, 24),
        overlap='nearest',
        generate_keypoint_heatmaps=True,
    )
    pictures = [
        bodies([(-600, 0, 3000), (500, 60, 3600)], spread=150),
        bodies([(0, 0, 2500)], seed=1, spread=150),
    ]
    all_depths = [people[..., 2].copy() for people in pictures]
    all_depths[0][1, 7] = np.nan  # the left elbow, and so the wrist
    encoded = [
        codec.encode(project(people, PLAIN), None, depths, 150.0)
        for people, depths in zip(pictures, all_depths, strict=True)
    ]
    heatmaps, output = map(
        torch.stack, zip(*map(network_output, encoded), strict=True)
    )
    depths, weights = (
        torch.tensor(np.stack([own[key] for own in encoded]))
        for key in ('depths', 'depth_weights')
    )
    keypoints, found, targets, known = codec.read_windows(
        heatmaps, output, depths, weights, snapping
    )
    assert len(keypoints) == (weights[:, -1] > 0).sum()
    torch.testing.assert_close(found, targets)
    numbers = set()
    for pose, own, flags in zip(keypoints, targets, known, strict=True):
        (number,) = {
            (i, n)
            for i, people in enumerate(pictures)
            for n, body in enumerate(people)
            if np.abs(project(body, PLAIN) - pose.numpy()).max() < 2
        }
        numbers.add(number)
        body = all_depths[number[0]][number[1]]
        missing = {7, 9} if number == (0, 1) else set()
        assert set(np.flatnonzero(~flags)) == missing
        scale = 10 * math.exp(own[-1])
        behind = (body - np.nanmean(body)) / scale
        keep = flags[:-1].numpy()
        np.testing.assert_allclose(own[:-1][keep], behind[keep], atol=1e-3)
    assert numbers == {(0, 0), (0, 1), (1, 0)}
    nobody = codec.read_windows(heatmaps, output, depths, 0 * weights)
    assert [len(part) for part in nobody] == [0] * 4


def test_the_head_learns_to_correct_its_depths():
    """Depths that are wrong by a third, and roots by a tenth."""
    torch.manual_seed(0)
    head = head_3d(depth_refiner=dict(type='DepthRefiner', channels=64))
    people, samples, (heatmaps, output) = samples_3d(
        head.decoder, [PLAIN, PLAIN]
    )
    wrong = torch.cat(
        (output[:, :34], output[:, 34:-1] * 0.7, output[:, -1:] + 0.1), 1
    ).requires_grad_()
    head.forward_stages = lambda feats: [(heatmaps, wrong)]
    head.forward = lambda feats: (heatmaps, wrong)

    @torch.no_grad()
    def error():
        preds = head.predict(None, samples, {})
        found = [p.keypoints_3d[np.argsort(p.bboxes[:, 0])] for p in preds]
        order = [own[np.argsort(project(own, PLAIN)[..., 0].min(1))]
                 for own in people]  # fmt: skip
        return np.abs(np.array(found) - order)[..., 2].mean()

    before = error()
    optimizer = torch.optim.Adam(head.depth_refiner.parameters(), 3e-3)
    for _ in range(150):
        loss = head.loss(None, samples)['loss/refined_depth']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert wrong.grad is None  # the maps don't learn from it
    assert error() < 0.1 * before


def test_only_poses_in_3d_have_depths():
    with pytest.raises(ValueError, match='depth_refiner needs a codec in 3D'):
        make_head(depth_refiner=dict(type='DepthRefiner'))
