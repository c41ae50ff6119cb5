"""Heads of SPM, people, and the maps that a perfect network predicts."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from rmpe_spm.spm.head import SPMHead

FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
SIZE = (128, 96)
# a codec's options, of another size
SMALL = dict(input_size=(96, 80), heatmap_size=(24, 20), sigma=4, tau=3)


def codec_config(**options):
    return (
        dict(
            type='HierarchicalSPRCodec',
            input_size=SIZE,
            heatmap_size=(32, 24),
            sigma=3,
            tau=3,
            overlap='nearest',
        )
        | options
    )


def make_head(codec=None, **options):
    small = dict(num_convs=1, channels=8, kernel_size=3)
    return SPMHead(
        in_channels=8,
        num_keypoints=17,
        decoder=codec_config(**(codec or {})),
        **(dict(heatmap_head=small, displacement_head=small) | options),
    )


def make_estimator(codec, kind='BottomupPoseEstimator', **test_cfg):
    """A model of whole pictures, with random weights."""
    small = dict(channels=8)
    return MODELS.build(
        dict(
            type=kind,
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=dict(
                type='MobileNetV2', widen_factor=0.25, out_indices=(1,)
            ),
            head=dict(
                type='SPMHead',
                in_channels=8,
                num_keypoints=17,
                heatmap_head=small,
                displacement_head=small,
                decoder=codec,
            ),
            test_cfg=test_cfg,
        )
    ).eval()


def make_poses(count, seed=0):
    """People beside each other, so that each has a peak of its own."""
    rng = np.random.RandomState(seed)
    poses = rng.uniform(-14, 14, (count, 17, 2))
    poses -= poses.mean(axis=1, keepdims=True)
    poses[..., 0] += 20 + 40 * np.arange(count)[:, None]
    poses[..., 1] += rng.uniform(35, 60, (count, 1))
    return poses.astype(np.float32)


def scattered_poses(num_persons, num_joints, input_size, seed=0, spread=25):
    """Poses (N, K, 2) in input pixels, anywhere on an input of (w, h)."""
    rng = np.random.RandomState(seed)
    centers = rng.uniform(0.1, 0.9, (num_persons, 1, 2)) * input_size
    offsets = rng.uniform(-spread, spread, (num_persons, num_joints, 2))
    return (centers + offsets).astype(np.float32)


def mirrored(poses, width):
    """The same people in an input of that width, seen in a mirror."""
    poses = poses[:, FLIP].copy()
    poses[..., 0] = width - 1 - poses[..., 0]
    return poses


def make_samples(codec, all_poses):
    samples = []
    for i, poses in enumerate(all_poses):
        sample = PoseDataSample(
            metainfo=dict(
                img_path=f'images/{i}.jpg',
                input_size=SIZE,
                input_center=np.array(SIZE) / 2,
                input_scale=np.array(SIZE, dtype=np.float32),
                flip_indices=FLIP,
            )
        )
        encoded = codec.encode(poses)
        sample.gt_fields = PixelData(
            **{key: torch.tensor(value) for key, value in encoded.items()}
        )
        samples.append(sample)
    return samples


def perfect_maps(codec, all_poses, visible=None):
    encoded = [codec.encode(poses, visible) for poses in all_poses]
    return tuple(
        torch.tensor(np.stack([e[key] for e in encoded]))
        for key in ('heatmaps', 'displacements')
    )


def pictures(head, *all_poses):
    """The samples of pictures with these people, and their perfect maps."""
    codec = head.decoder
    return make_samples(codec, all_poses), perfect_maps(codec, all_poses)


def answer(head, *maps):
    """Make the head predict these maps, one pair for each forward."""
    replies = iter(maps)
    head.forward = lambda feats: next(replies)
    return head


def assert_same_people(instances, poses, atol=1e-2):
    assert len(instances) == len(poses)
    order = np.argsort(instances.keypoints[..., 0].mean(axis=1))
    np.testing.assert_allclose(instances.keypoints[order], poses, atol=atol)
