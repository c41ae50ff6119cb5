"""From maps to poses: peaks, paths along the tree, snapping."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from spm_maps import SMALL, perfect_maps
from spm_maps import scattered_poses as make_poses

from rmpe_spm.spm.codec import HierarchicalSPRCodec
from rmpe_spm.spm.decoding import (
    Snapping,
    find_joint_peaks,
    find_peaks,
    read_poses,
    snap_to_peaks,
)
from rmpe_spm.spm.kinematics import (
    NAMED_TREES,
    PoseRepresentation,
    build_kinematic_tree,
)

TREES = [*NAMED_TREES, 'coco-flat', [-1], [1, 2, 3, -1]]


def test_parent_located_reads_a_chain_and_stays_on_the_map():
    maps = torch.zeros(1, 6, 8, 8)
    maps[0, :2, 2, 5] = torch.tensor([-2.4, 1.0])  # to (2.6, 3): cell (3, 3)
    maps[0, 2:4, 3, 3] = torch.tensor([-1.0, 9.0])  # to (2, 12): below
    maps[0, 4:, 7, 2] = torch.tensor([1.0, 0.5])
    chain = build_kinematic_tree([-1, 0, 1])
    root = torch.tensor([[21]])  # cell (5, 2) of a map of 8 x 8
    joints = read_poses(maps, root, PoseRepresentation(chain, 1.0, 'parent'))
    torch.testing.assert_close(
        joints[0, 0], torch.tensor([[2.6, 3], [2, 12], [3, 7.5]])
    )


@pytest.mark.parametrize('location', ['root', 'parent'])
def test_maps_of_half_precision_do_not_overflow(location):
    """Sums, products with Z and scores are in float32."""
    codec = HierarchicalSPRCodec(
        (2048, 2048), (512, 512), displacement_location=location
    )
    heatmaps = torch.zeros(1, 512, 512).half()
    heatmaps[0, 300, 200] = 1e4
    displacements = torch.full((34, 512, 512), 300.0).half()
    keypoints, (root_scores, scores) = codec.decode(heatmaps, displacements)
    assert keypoints.max() > 65504 and keypoints.isfinite().all()
    assert root_scores.tolist() == [1e4] and scores.isfinite().all()


def poses_at(codec, displacements, cell):
    """Decode with the root peak put on a cell (x, y) by hand."""
    heatmaps = torch.zeros(1, *displacements.shape[1:])
    heatmaps[0, cell[1], cell[0]] = 1
    keypoints, _ = codec.decode(heatmaps, torch.from_numpy(displacements))
    return keypoints.numpy()


@pytest.mark.parametrize('kinematics', TREES, ids=str)
def test_parent_located_round_trip_is_exact_from_any_cell(kinematics):
    tree = build_kinematic_tree(kinematics)
    codec = HierarchicalSPRCodec(
        (512, 384),
        (128, 96),
        kinematics,
        displacement_location='parent',
        decode_max_instances=1,
    )
    keypoints = make_poses(1, tree.num_joints, codec.input_size, 3, spread=80)
    keypoints = keypoints.clip(0, (510, 382))
    encoded = codec.encode(keypoints)
    level_two = 2 * tree.joints_by_level[0][0]
    cells = np.argwhere(encoded['displacement_weights'][level_two])[:, ::-1]
    assert len(cells) > 140
    for cell in cells[::7]:
        decoded = poses_at(codec, encoded['displacements'], cell)
        np.testing.assert_allclose(decoded, keypoints, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_root_located_round_trip_property(data):
    """Any number of people, any joints missing, anywhere: what is decoded
    at a person's root is that person."""
    kinematics = data.draw(st.sampled_from(TREES))
    tree = build_kinematic_tree(kinematics)
    codec = HierarchicalSPRCodec(
        (160, 128),
        (40, 32),
        kinematics,
        sigma=data.draw(st.floats(1, 7)),
        tau=data.draw(st.floats(0.75, 7)),
        overlap='nearest',
        root_type=data.draw(st.sampled_from(['kpt_center', 'bbox_center'])),
    )
    shape = data.draw(st.integers(0, 4)), tree.num_joints
    seed = data.draw(st.integers(0, 2**31 - 1))
    keypoints = make_poses(*shape, codec.input_size, seed, spread=60)
    visible = np.random.RandomState(seed).rand(*shape) > 0.2
    encoded = codec.encode(keypoints, visible.astype(np.float32))
    heatmaps, displacements = encoded['heatmaps'], encoded['displacements']
    assert np.isfinite(displacements).all()
    assert 0 <= heatmaps.min() <= heatmaps.max() <= 1
    decoded, (root_scores, keypoint_scores) = codec.decode(
        torch.from_numpy(heatmaps), torch.from_numpy(displacements)
    )
    count = len(decoded)
    assert root_scores.shape == (count,)
    assert keypoint_scores.shape == (count, tree.num_joints)
    assert (root_scores > codec.decode_thr).all()
    assert (root_scores.diff() <= 0).all()

    weights = encoded['displacement_weights'][::2]
    for x, y in np.argwhere(weights.any(axis=0))[::23, ::-1]:
        decoded = poses_at(codec, displacements, (x, y))[0]
        whole_path = tree.ancestor_matrix @ (1 - weights[:, y, x]) == 0
        errors = np.abs(keypoints - decoded).max(axis=-1)[:, whole_path]
        # all joints whose path is labelled are one and the same person's
        assert errors.size == 0 or errors.max(axis=1).min() < 1e-3


def test_decode_options():
    heatmaps = torch.zeros(1, 16, 16)
    heatmaps[0, 4, 4], heatmaps[0, 4, 6], heatmaps[0, 12, 12] = 0.9, 0.8, 0.25

    def decode(**options):
        codec = HierarchicalSPRCodec((64, 64), (16, 16), [-1], **options)
        joints, (scores, _) = codec.decode(heatmaps, torch.zeros(2, 16, 16))
        return joints[:, 0].tolist(), scores.numpy().round(4).tolist()

    places, scores = decode()
    assert places == [[16, 16], [48, 48]]
    np.testing.assert_allclose(scores, [0.9, 0.25], rtol=1e-4)
    assert len(decode(decode_nms_kernel=3)[0]) == 3
    assert decode(decode_thr=0.25)[0] == [[16, 16]]  # more than that
    assert decode(decode_max_instances=1)[0] == [[16, 16]]


def test_keypoint_scores_are_read_at_the_joints():
    codec = HierarchicalSPRCodec(
        (64, 64),
        (16, 16),
        kinematics=[-1, -1],
        normalizer=None,
        generate_keypoint_heatmaps=True,
    )
    heatmaps = torch.zeros(3, 16, 16)
    heatmaps[2, 8, 8] = 0.7
    heatmaps[0, 3, 5], heatmaps[0, 3, 6] = 0.4, 0.8
    heatmaps[1, 15, 15] = 0.6
    displacements = torch.zeros(4, 16, 16)
    displacements[:, 8, 8] = torch.tensor([-2.75, -5, 20, 7])
    keypoints, (roots, scores) = codec.decode(heatmaps, displacements)
    assert keypoints[0].tolist() == [[21, 12], [112, 60]]
    # a quarter of the way between two cells; beyond the border, its value
    np.testing.assert_allclose(scores[0], [0.5, 0.6], atol=1e-5)
    assert roots.tolist() == pytest.approx([0.7])


@pytest.mark.parametrize('location', ['root', 'parent'])
def test_snapping_a_parent_puts_its_child_right(location):
    """Around parents: a child is read where its parent's peak is."""
    codec = HierarchicalSPRCodec(
        (128, 128),
        (32, 32),
        kinematics=[-1, 0, -1],
        tau=2,
        displacement_location=location,
        generate_keypoint_heatmaps=True,
        keypoint_sigma=1.5,
    )
    # root at cell (12, 13), joints at cells (8, 8), (16, 10) and (12, 21)
    pose = np.array([[[32.0, 32.0], [64.0, 40.0], [48.0, 84.0]]])
    heatmaps, displacements = perfect_maps(codec, [pose])
    heatmaps[:, 1] = 0  # the child has no peak of its own
    displacements[:, 0] += 3 / codec.normalizer  # its parent: 3 cells right
    off = codec.decode_padded(heatmaps, displacements)
    snapped = codec.decode_padded(heatmaps, displacements, Snapping(0.1, 0.5))
    assert off.keypoints[0, 0, 0].tolist() == pytest.approx([44, 32])
    assert snapped.keypoints[0, 0, 0].tolist() == pytest.approx([32, 32])
    child = snapped.keypoints[0, 0, 1].tolist()
    if location == 'parent':
        assert child == pytest.approx(pose[0, 1])
        # 3 cells off the parent is outside of the window, where nothing is
        assert off.keypoints[0, 0, 1].tolist() == pytest.approx([44, 32])
    else:
        assert child == off.keypoints[0, 0, 1].tolist()
        assert child == pytest.approx([76, 40])


def test_decoding_stays_in_float32_under_autocast():
    codec = HierarchicalSPRCodec((512, 512), (128, 128))
    maps = perfect_maps(codec, [make_poses(1, 17, (512, 512), 4, 100)])
    (expected,), _ = codec.batch_decode(*maps)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (decoded,), _ = codec.batch_decode(*maps)
    assert torch.equal(decoded, expected)


@pytest.mark.parametrize(
    ('with_heatmaps', 'location'), [(False, 'root'), (True, 'parent')]
)
def test_padded_decoding_exports(with_heatmaps, location):
    """No shape depends on values: one graph for any batch and map size."""
    codec = HierarchicalSPRCodec(
        **SMALL,
        generate_keypoint_heatmaps=with_heatmaps,
        displacement_location=location,
    )

    class Decoder(torch.nn.Module):
        def forward(self, heatmaps, displacements):
            return tuple(codec.decode_padded(heatmaps, displacements))

    channels = 18 if with_heatmaps else 1
    sizes = torch.export.Dim('batch'), torch.export.Dim('h', min=8)
    sizes = dict(enumerate((sizes[0], None, sizes[1], torch.export.Dim('w'))))
    example = torch.rand(2, channels, 20, 24), torch.rand(2, 34, 20, 24)
    program = torch.export.export(
        Decoder(), example, dynamic_shapes=(sizes, sizes)
    ).module()
    for batch, height, width in ((2, 20, 24), (3, 17, 33)):
        maps = [torch.rand(batch, c, height, width) for c in (channels, 34)]
        for got, want in zip(program(*maps), Decoder()(*maps), strict=True):
            torch.testing.assert_close(got, want)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('channel', [0, 1])
def test_output_that_is_not_finite_yields_no_pose(bad, channel):
    codec = HierarchicalSPRCodec(**SMALL)
    maps = perfect_maps(codec, [make_poses(2, 17, codec.input_size)] * 2)
    maps[channel][1, 0, 0, 0] = bad
    with pytest.warns(RuntimeWarning, match=r'images \[1\]'):
        keypoints, _ = codec.batch_decode(*maps)
    assert len(keypoints[0]) > 0 and len(keypoints[1]) == 0
    assert torch.isfinite(keypoints[0]).all()


def test_maps_and_joints_of_another_shape_are_refused():
    codec = HierarchicalSPRCodec(**SMALL)
    with pytest.raises(ValueError, match='1 or 18 and 34 channels'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(28, 20, 24))
    with pytest.raises(ValueError, match='same height and width'):
        codec.decode(torch.zeros(1, 20, 24), torch.zeros(34, 20, 20))
    with pytest.raises(ValueError, match=r'\(N, 17, 2\)'):
        codec.encode(np.zeros((1, 14, 2)))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_equal_cells_take_no_place_of_other_peaks(dtype):
    """Peaks halfway between cells, as many as may be found, and a plateau."""
    maps = torch.zeros(1, 40, 60, dtype=dtype)
    places = [(4 + 8 * i, 4 + 9 * j) for i in range(4) for j in range(6)]
    for index, (y, x) in enumerate(places):
        maps[0, y : y + 2, x : x + 2] = 0.9 - index / 100
    maps[0, 33:40, 50:58] = 1
    scores, cells = find_peaks(maps, 5, len(places) + 1)
    expected = [33 * 60 + 50, *(y * 60 + x for y, x in places)]
    assert sorted(cells[0].tolist()) == sorted(expected)
    assert cells[0, 0] == expected[0] and (scores > 0).all()
    assert torch.equal(scores, maps.flatten(1).gather(1, cells))


@pytest.mark.parametrize('nms_kernel', [1, 3, 5, 9, 11])
@pytest.mark.parametrize('size', [(1, 1), (3, 20), (20, 3), (24, 40)])
def test_peaks_are_those_of_max_pooling(nms_kernel, size):
    """Of distinct values, on several maps at once, which stay as they are."""
    generator = torch.Generator().manual_seed(nms_kernel)
    maps = torch.rand(3, *size, generator=generator)
    # also a batch and maps that are not contiguous
    for part in (maps, maps[::2], maps.transpose(1, 2)):
        before = part.clone()
        pooled = F.max_pool2d(part, nms_kernel, 1, nms_kernel // 2)
        expected = torch.where(pooled == part, part, 0).flatten(1)
        count = min(30, expected.shape[1])
        expected = expected.sort(dim=1, descending=True)[0][:, :count]
        scores, cells = find_peaks(part, nms_kernel, 30)
        assert torch.equal(part, before)
        assert torch.equal(scores, expected)
        found = part.flatten(1).gather(1, cells)
        assert torch.equal(torch.where(scores > 0, found, 0), scores)


@pytest.mark.parametrize(
    ('max_distance', 'score_thr', 'expected'),
    [
        (3.0, 0.1, [5.25, 4.0]),  # the peak at (5, 4), a bit to the right
        (1.0, 0.1, [7.0, 4.0]),  # out of reach
        (3.0, 0.6, [7.0, 4.0]),  # too weak
    ],
)
def test_snapping(max_distance, score_thr, expected):
    heatmaps = torch.zeros(1, 2, 10, 12)
    heatmaps[0, 0, 4, 4:7] = torch.tensor([0.2, 0.5, 0.3])
    heatmaps[0, 1, 4, 7] = 1  # another joint's peak attracts nothing
    keypoints = torch.tensor([[[[7.0, 4.0], [0.0, 9.0]]]])
    peaks = find_joint_peaks(heatmaps, score_thr, 3)
    snapped = snap_to_peaks(keypoints, peaks, torch.tensor([[max_distance]]))
    assert snapped[0, 0, 0].tolist() == expected
    assert snapped[0, 0, 1].tolist() == [0, 9]


def test_offsets_refine_peaks():
    heatmaps, offsets = torch.zeros(1, 2, 6, 8), torch.rand(1, 4, 6, 8)
    heatmaps[0, 1, 3, 5] = 0.5
    offsets[0, 2:, 3, 5] = torch.tensor([0.375, -1.5])
    peaks = find_joint_peaks(heatmaps, 0.1, 3, offsets)
    assert peaks[0, 1, 0].tolist() == [5.375, 1.5, 0.5]
    assert peaks[0, 0, :, :2].isinf().all()


@pytest.mark.parametrize(
    ('to', 'reach', 'expected'),
    [
        ('nearest', 9.0, [3, 9]),
        # 0.9 exp(-4^2 / (2 4^2)) beats 0.5 exp(-2^2 / (2 4^2))
        ('best', 4.0, [9, 9]),
        ('best', 2.0, [3, 9]),
        ('best', 0.01, [5, 8]),  # too far away to weigh anything
    ],
)
def test_each_candidate_snaps_to_its_nearest_or_best_peak(to, reach, expected):
    heatmaps = torch.zeros(1, 1, 9, 20)
    heatmaps[0, 0, 4, 3], heatmaps[0, 0, 4, 9] = 0.5, 0.9
    peaks = find_joint_peaks(heatmaps, 0.1, 3)
    assert peaks.shape == (1, 1, 40, 3)
    keypoints = torch.tensor([[[[5.0, 4.0]], [[8.0, 4.0]]]])
    reach = torch.full((1, 2), reach)
    snapped = snap_to_peaks(keypoints, peaks, reach, to)
    assert snapped[0, :, 0].tolist() == [[x, 4] for x in expected]
