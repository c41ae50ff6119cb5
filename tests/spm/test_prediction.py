"""From maps to people: flip test, snapping, NMS, bad maps."""

import numpy as np
import pytest
import torch
from spm_maps import (
    SIZE,
    answer,
    assert_same_people,
    codec_config,
    make_head,
    make_poses,
    make_samples,
    mirrored,
    perfect_maps,
)

from rmpe_spm.spm.head import SPMHead


def test_predict_any_batch_size():
    head = make_head()
    poses = [make_poses(3), make_poses(0), make_poses(1, seed=2)]
    samples = make_samples(head.decoder, poses)
    maps = perfect_maps(head.decoder, poses)
    preds = answer(head, maps).predict(None, samples)
    for pred, expected in zip(preds, poses, strict=True):
        assert_same_people(pred, expected)
        assert pred.keypoint_scores.shape == (len(expected), 17)
        for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores'):
            assert pred[key].dtype == np.float32
    for i in range(3):
        one = [m[i : i + 1] for m in maps]
        single = answer(head, tuple(one)).predict(None, samples[i : i + 1])
        np.testing.assert_array_equal(single[0].keypoints, preds[i].keypoints)
    first = preds[0]
    assert (np.diff(first.bbox_scores) <= 0).all()
    np.testing.assert_allclose(first.bboxes[:, :2], first.keypoints.min(1))
    np.testing.assert_allclose(first.bboxes[:, 2:], first.keypoints.max(1))
    np.testing.assert_allclose(
        first.keypoint_scores, first.bbox_scores[:, None].repeat(17, 1)
    )


@pytest.mark.parametrize(
    'codec',
    [
        dict(),
        dict(kinematics='coco-flat'),
        dict(displacement_location='parent'),
        dict(normalizer=None, heatmap_size=(64, 48), tau=4),
        dict(generate_keypoint_heatmaps=True),
        dict(generate_keypoint_heatmaps=True, generate_keypoint_offsets=True),
    ],
    ids=str,
)
def test_flip_test_agrees_with_itself(codec):
    head = make_head(
        codec=codec,
        keypoint_heatmaps='generate_keypoint_heatmaps' in codec,
        keypoint_offsets='generate_keypoint_offsets' in codec,
    )
    poses = make_poses(2)
    samples = make_samples(head.decoder, [poses])
    both = poses, mirrored(poses, SIZE[0])
    maps = [perfect_maps(head.decoder, [people]) for people in both]

    def merge(**options):
        config = dict(flip_test=True, output_heatmaps=True, **options)
        if head.keypoint_offsets:  # the places are those of the offsets
            config |= dict(snap_thr=0.1, snap_distance=1, snap_to='best')
        preds, fields = answer(head, *maps).predict(
            [None, None], samples, config
        )
        roots = fields[0].heatmaps[-1] - maps[0][0][0, -1]
        return preds[0], roots.abs().max()

    pred, difference = merge()
    assert_same_people(pred, poses)
    # the heatmaps come back in place, not 3/4 of a cell beside it
    assert difference < 0.5 * merge(shift_heatmap=False)[1]


def test_flip_test_needs_a_symmetric_tree():
    parents = [-1] * 17
    parents[9] = 7  # the left wrist alone hangs on its elbow
    head = make_head(codec=dict(kinematics=parents))
    samples = make_samples(head.decoder, [make_poses(1)])
    maps = perfect_maps(head.decoder, [make_poses(1)])
    answer(head, maps).predict(None, samples, {})
    with pytest.raises(ValueError, match='joint 10 mirrors joint 9'):
        answer(head, maps, maps).predict(
            [None, None], samples, dict(flip_test=True)
        )


def test_keypoint_heatmaps_score_the_joints():
    head = make_head(
        codec=dict(generate_keypoint_heatmaps=True), keypoint_heatmaps=True
    )
    poses = make_poses(1)
    heatmaps, displacements = perfect_maps(head.decoder, [poses])
    heatmaps[:, 9] = -0.1
    heatmaps[:, -1] *= 0.5
    samples = make_samples(head.decoder, [poses])
    pred = answer(head, (heatmaps, displacements)).predict(None, samples)[0]
    assert pred.keypoint_scores[0, 9] == 0
    others = np.delete(pred.keypoint_scores[0], 9)
    assert (others < 0.5).all() and (others > 0.35).all()
    assert pred.bbox_scores[0] == pytest.approx(pred.keypoint_scores.mean())


def test_joints_snap_to_their_heatmaps():
    head = make_head(
        codec=dict(generate_keypoint_heatmaps=True), keypoint_heatmaps=True
    )
    poses = np.rint(make_poses(1) / 4) * 4
    heatmaps, displacements = perfect_maps(head.decoder, [poses])
    samples = make_samples(head.decoder, [poses])
    z = head.decoder.normalizer
    displacements[:, 0::2] += 0.8 / z  # all joints too far right
    config = dict(snap_thr=0.3, snap_distance=0.5)
    maps = heatmaps, displacements
    off = answer(head, maps).predict(None, samples)[0]
    snapped = answer(head, maps).predict(None, samples, config)[0]
    assert np.abs(off.keypoints - poses).max() > 3
    assert np.abs(snapped.keypoints - poses).max() <= 1.01
    with pytest.raises(ValueError, match='keypoint heatmaps'):
        plain = make_head()
        maps = perfect_maps(plain.decoder, [poses])
        answer(plain, maps).predict(None, samples, config)


def doubled(count=2):
    """Maps in which a second, weaker root sees each person once more."""
    head = make_head(codec=dict(decode_nms_kernel=3))
    poses = make_poses(count)
    heatmaps, displacements = perfect_maps(head.decoder, [poses])
    roots = np.rint(poses.mean(axis=1) / 4).astype(int)
    heatmaps[heatmaps < 0.95] = 0
    for x, y in roots:
        heatmaps[0, 0, y - 1 : y + 2, x - 2 : x + 3] = 0
        heatmaps[0, 0, y, x - 1], heatmaps[0, 0, y, x + 1] = 0.9, 0.6
    return head, poses, (heatmaps, displacements)


@pytest.mark.parametrize(
    'config',
    [
        dict(nms=dict(type='ParametricPoseNMS', preset='coco')),
        dict(nms_dist_thr=0.05),
        dict(nms_dist_thr=0.05, nms_joints_thr=3),
    ],
    ids=str,
)
def test_pose_nms_by_name(config):
    head, poses, maps = doubled()
    samples = make_samples(head.decoder, [poses])
    without = answer(head, maps).predict(None, samples)[0]
    assert len(without) == 4
    pred = answer(head, maps).predict(None, samples, config)[0]
    assert_same_people(pred, poses, atol=1)
    assert pred.bbox_scores.shape == (2,) and pred.bboxes.shape == (2, 4)


def test_a_pose_nms_that_is_changed_in_place():
    """As a sweep over its parameters does with a config."""
    head, poses, maps = doubled()
    samples = make_samples(head.decoder, [poses])
    config = dict(nms=dict(type='OKSNMS'))
    found = []
    for thr in (0.3, 1.0, 0.3):
        config['nms']['thr'] = thr
        preds = answer(head, maps).predict(None, samples, config)
        found.append(len(preds[0]))
    assert found == [2, 4, 2]


def test_max_num_people_and_output_heatmaps():
    head, poses, maps = doubled()
    samples = make_samples(head.decoder, [poses])
    config = dict(max_num_people=3, output_heatmaps=True)
    preds, fields = answer(head, maps).predict(None, samples, config)
    np.testing.assert_allclose(
        preds[0].bbox_scores, [0.9, 0.9, 0.6], atol=1e-6
    )
    assert torch.equal(fields[0].heatmaps, maps[0][0])
    assert torch.equal(fields[0].displacements, maps[1][0])


@pytest.mark.parametrize(
    'config',
    [
        dict(),
        dict(nms_dist_thr=0.05),
        dict(nms=dict(type='ParametricPoseNMS')),
    ],
    ids=str,
)
def test_nan_is_reported_and_yields_no_pose(config):
    head = make_head()
    poses = [make_poses(1), make_poses(1)]
    samples = make_samples(head.decoder, poses)
    maps = perfect_maps(head.decoder, poses)
    maps[1][1, 3, 0, 0] = float('nan')
    with pytest.warns(RuntimeWarning, match='images/1.jpg.*NaN'):
        preds = answer(head, maps).predict(None, samples, config)
    assert_same_people(preds[0], poses[0])
    assert preds[1].keypoints.shape == (0, 17, 2)
    assert preds[1].bboxes.shape == (0, 4)
    assert preds[1].bbox_scores.shape == (0,)


@pytest.mark.parametrize(
    'config',
    [dict(nms_dist_thr=0.05), dict(nms=dict(type='ParametricPoseNMS'))],
    ids=str,
)
def test_one_joint(config):
    head = SPMHead(8, 1, decoder=codec_config(kinematics=[-1]))
    poses = make_poses(3)[:, :1]
    samples = make_samples(head.decoder, [poses])
    maps = perfect_maps(head.decoder, [poses])
    pred = answer(head, maps).predict(None, samples, config)[0]
    assert_same_people(pred, poses)
    np.testing.assert_allclose(pred.bboxes[:, :2], pred.bboxes[:, 2:])
