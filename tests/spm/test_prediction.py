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
    mirrored,
    perfect_maps,
    pictures,
)

from rmpe_spm.spm.head import SPMHead

NEARBY = dict(nms_dist_thr=0.05)
PARAMETRIC = dict(nms=dict(type='ParametricPoseNMS', preset='coco'))


def test_predict_any_batch_size():
    head = make_head()
    poses = [make_poses(3), make_poses(0), make_poses(1, seed=2)]
    samples, maps = pictures(head, *poses)
    preds = answer(head, maps).predict(None, samples)
    for i, (pred, expected) in enumerate(zip(preds, poses, strict=True)):
        assert_same_people(pred, expected)
        assert pred.keypoint_scores.shape == (len(expected), 17)
        for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores'):
            assert pred[key].dtype == np.float32
        one = tuple(m[i : i + 1] for m in maps)
        (alone,) = answer(head, one).predict(None, samples[i : i + 1])
        np.testing.assert_array_equal(alone.keypoints, pred.keypoints)
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
    samples, maps = pictures(head, poses)
    _, seen = pictures(head, mirrored(poses, SIZE[0]))

    def merge(**options):
        config = dict(flip_test=True, output_heatmaps=True, **options)
        if head.keypoint_offsets:  # the places are those of the offsets
            config |= dict(snap_thr=0.1, snap_distance=1, snap_to='best')
        (pred,), (fields,) = answer(head, maps, seen).predict(
            [None, None], samples, config
        )
        return pred, (fields.heatmaps[-1] - maps[0][0, -1]).abs().max()

    pred, difference = merge()
    assert_same_people(pred, poses)
    # the heatmaps come back in place, not 3/4 of a cell beside it
    assert difference < 0.5 * merge(shift_heatmap=False)[1]


def test_flip_test_needs_a_symmetric_tree():
    parents = [-1] * 17
    parents[9] = 7  # the left wrist alone hangs on its elbow
    head = make_head(codec=dict(kinematics=parents))
    samples, maps = pictures(head, make_poses(1))
    answer(head, maps).predict(None, samples, {})
    with pytest.raises(ValueError, match='joint 10 mirrors joint 9'):
        answer(head, maps, maps).predict(
            [None, None], samples, dict(flip_test=True)
        )


def head_with_heatmaps():
    codec = dict(generate_keypoint_heatmaps=True)
    return make_head(codec=codec, keypoint_heatmaps=True)


def test_keypoint_heatmaps_score_the_joints():
    head = head_with_heatmaps()
    samples, maps = pictures(head, make_poses(1))
    maps[0][:, 9] = -0.1
    maps[0][:, -1] *= 0.5
    (pred,) = answer(head, maps).predict(None, samples)
    assert pred.keypoint_scores[0, 9] == 0
    others = np.delete(pred.keypoint_scores[0], 9)
    assert (others < 0.5).all() and (others > 0.35).all()
    assert pred.bbox_scores[0] == pytest.approx(pred.keypoint_scores.mean())


def test_joints_snap_to_their_heatmaps():
    head = head_with_heatmaps()
    poses = np.rint(make_poses(1) / 4) * 4
    samples, maps = pictures(head, poses)
    # all joints too far right
    maps[1][:, 0::2] += 0.8 / head.decoder.normalizer
    config = dict(snap_thr=0.3, snap_distance=0.5)
    (off,) = answer(head, maps).predict(None, samples)
    (snapped,) = answer(head, maps).predict(None, samples, config)
    assert np.abs(off.keypoints - poses).max() > 3
    assert np.abs(snapped.keypoints - poses).max() <= 1.01
    plain = make_head()
    maps = perfect_maps(plain.decoder, [poses])
    with pytest.raises(ValueError, match='keypoint heatmaps'):
        answer(plain, maps).predict(None, samples, config)


def seen_twice():
    """Two people, and maps in which a weaker root sees each once more."""
    head = make_head(codec=dict(decode_nms_kernel=3))
    poses = make_poses(2)
    samples, (heatmaps, displacements) = pictures(head, poses)
    heatmaps[:] = 0
    for x, y in np.rint(poses.mean(axis=1) / 4).astype(int):
        heatmaps[0, 0, y, x - 1], heatmaps[0, 0, y, x + 1] = 0.9, 0.6

    def predict(config):
        maps = heatmaps, displacements
        return answer(head, maps).predict(None, samples, config)

    return poses, (heatmaps, displacements), predict


@pytest.mark.parametrize(
    'config', [PARAMETRIC, NEARBY, NEARBY | dict(nms_joints_thr=3)], ids=str
)
def test_pose_nms_by_name(config):
    poses, _, predict = seen_twice()
    (pred,) = predict(config)
    assert_same_people(pred, poses, atol=1)
    assert pred.bbox_scores.shape == (2,) and pred.bboxes.shape == (2, 4)


def test_no_pose_nms_and_which_of_two():
    predict = seen_twice()[2]
    off = dict(nms=None, nms_dist_thr=0, nms_joints_thr=8)
    loose = NEARBY | dict(nms=dict(type='OKSNMS', thr=1.0))
    for config in ({}, off, loose):
        assert len(predict(config)[0]) == 4
    with pytest.raises(ValueError, match='num_nearby_joints=17 can never'):
        predict(NEARBY | dict(nms_joints_thr=17))


def test_a_pose_nms_that_is_changed_in_place():
    """As a sweep over its parameters does with a config."""
    predict = seen_twice()[2]
    config = dict(nms=dict(type='OKSNMS'))
    found = []
    for thr in (0.3, 1.0, 0.3):
        config['nms']['thr'] = thr
        found.append(len(predict(config)[0]))
    assert found == [2, 4, 2]


def test_max_num_people_and_output_heatmaps():
    _, maps, predict = seen_twice()
    (pred,), (fields,) = predict(dict(max_num_people=3, output_heatmaps=True))
    np.testing.assert_allclose(pred.bbox_scores, [0.9, 0.9, 0.6], atol=1e-6)
    assert len(predict(NEARBY | dict(max_num_people=1))[0]) == 1
    assert torch.equal(fields.heatmaps, maps[0][0])
    assert torch.equal(fields.displacements, maps[1][0])


@pytest.mark.parametrize('config', [dict(), NEARBY, PARAMETRIC], ids=str)
def test_nan_is_reported_and_yields_no_pose(config):
    head = make_head()
    samples, maps = pictures(head, make_poses(1), make_poses(1))
    maps[1][1, 3, 0, 0] = float('nan')

    def predict(name):
        with pytest.warns(RuntimeWarning, match=f'image {name} hold NaN'):
            return answer(head, maps).predict(None, samples, config)

    preds = predict('images/1.jpg')
    assert_same_people(preds[0], make_poses(1))
    assert preds[1].keypoints.shape == (0, 17, 2)
    assert preds[1].bboxes.shape == (0, 4)
    assert preds[1].bbox_scores.shape == (0,)
    del samples[1].img_path
    predict('unknown')
    samples[1].set_metainfo(dict(img_id=7))
    predict('7')


@pytest.mark.parametrize('config', [NEARBY, PARAMETRIC], ids=str)
def test_one_joint(config):
    head = SPMHead(8, 1, decoder=codec_config(kinematics=[-1]))
    poses = make_poses(3)[:, :1]
    samples, maps = pictures(head, poses)
    (pred,) = answer(head, maps).predict(None, samples, config)
    assert_same_people(pred, poses)
    np.testing.assert_allclose(pred.bboxes[:, :2], pred.bboxes[:, 2:])
