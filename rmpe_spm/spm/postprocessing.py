"""What ``test_cfg`` asks for, and from decoded poses to mmpose's instances."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ..poses import bboxes_around
from ..tensors import tensor_on_device_of
from .decoding import PaddedPoses, Snapping

# of SPMHead and of the estimators around it, and those of mmpose's DEKR that
# change nothing here
_KNOWN_OPTIONS = (
    'align_corners flip_test max_num_people multiscale_test nms nms_dist_thr '
    'nms_joints_thr output_heatmaps output_keypoint_indices pose_size_range '
    'restore_heatmap_size shift_heatmap snap_distance snap_thr snap_to'
)

# Keypoints (N, K, 2) and their scores (N, K) of each image; in 3D depths
# (N, K + 1) too
ImagePoses = tuple[list[np.ndarray], ...]


def pose_nms_config(test_cfg: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The config of the pose NMS that is asked for, None for none."""
    config = test_cfg.get('nms', None)
    dist_thr = test_cfg.get('nms_dist_thr', 0)
    if config is None and dist_thr > 0:
        config = dict(
            type='NearbyJointsNMS',
            dist_thr=dist_thr,
            num_nearby_joints=test_cfg.get('nms_joints_thr', None),
        )
    return config


def read_snapping(test_cfg: Mapping[str, Any]) -> Snapping | None:
    """How joints are to snap, None without ``snap_thr``."""
    options = {
        key: test_cfg[f'snap_{key}']
        for key in ('thr', 'distance', 'to')
        if f'snap_{key}' in test_cfg
    }
    return None if options.get('thr') is None else Snapping(**options)


def check_test_options(
    test_cfg: Mapping[str, Any], decode_max_instances: int
) -> None:
    """Refuse options that contradict each other, and tell of unknown ones."""
    known = _KNOWN_OPTIONS.split()
    unknown = sorted(set(test_cfg).difference(known))
    if unknown:
        warnings.warn(
            f'SPMHead: test_cfg has {", ".join(unknown)}, which it does not '
            f'know; it knows {", ".join(known)}',
            stacklevel=3,
        )
    multiscale = test_cfg.get('multiscale_test', False)
    wanted = test_cfg.get('max_num_people', 0)
    if wanted > decode_max_instances and not multiscale:
        raise ValueError(
            f'SPMHead: test_cfg.max_num_people={wanted}, but the codec '
            f'decodes no more than decode_max_instances='
            f'{decode_max_instances}: raise that too'
        )
    if test_cfg.get('pose_size_range') is None:
        return
    if not multiscale:
        raise ValueError(
            'SPMHead: test_cfg.pose_size_range needs multiscale_test=True'
        )
    if pose_nms_config(test_cfg) is None:
        raise ValueError(
            'SPMHead: test_cfg.pose_size_range may find a person in '
            'several sizes: set `nms_dist_thr` (or `nms`) too'
        )


def fit_to_images(
    heatmaps: Tensor,
    metas: Sequence[Mapping],
    stride: np.ndarray,
    scale: int = 0,
) -> Tensor:
    """Set heatmaps to 0 beside their images, and check their stride (x, y)."""
    shape = metas[0].get('batch_input_shape')
    if scale == 0 and shape is not None:
        map_size, size = heatmaps.shape[:1:-1], shape[::-1]
        if (np.abs(map_size - np.array(size) / stride) >= 1).any():
            raise ValueError(
                'SPMHead: the network makes maps of {}x{} cells of images of '
                '{}x{} pixels, but the codec has {:g}x{:g} pixels a cell: '
                'its input_size and heatmap_size are not those of this '
                'network'.format(*map_size, *size, *stride)
            )
    if not all('input_size' in meta for meta in metas):
        return heatmaps
    return mask_padding(heatmaps, image_regions(metas, scale), stride)


def image_regions(
    metas: Sequence[Mapping], scale: int = 0
) -> list[tuple[float, float, float, float]]:
    """Where inputs show their images: (x0, y0, x1, y1) in the input's pixels.

    An image of other proportions than its input, resized to fit, leaves bars
    at two sides of it.
    """
    regions = []
    for meta in metas:
        size, shown = meta['input_size'], meta.get('input_scale')
        if scale:
            size = meta['aug_input_sizes'][scale - 1]
            shown = meta['aug_input_scales'][scale - 1]
        size = np.asarray(size, dtype=np.float64)
        low, high = np.zeros(2), size
        if shown is not None and 'ori_shape' in meta:
            zoom = size / shown
            start = size / 2 - meta['input_center'] * zoom
            end = start + np.asarray(meta['ori_shape'])[1::-1] * zoom
            low, high = np.maximum(start, low), np.minimum(end, high)
        regions.append((*low.tolist(), *high.tolist()))
    return regions


def mask_padding(
    heatmaps: Tensor,
    regions: Sequence[tuple[float, float, float, float]],
    stride: Sequence[float],
) -> Tensor:
    """Set heatmaps (B, C, H, W) to 0 where their image was padded.

    At every side one cell is left at or beyond the border of the image's
    region: with it a place at the border is read between cells.
    """
    height, width = heatmaps.shape[-2:]
    # in cells, without the rounding of float32 regions
    cells = np.round(np.array(regions) / [*stride, *stride], 3)
    limits = np.concatenate(
        (np.floor(cells[:, :2]), np.ceil(cells[:, 2:]) + 1), axis=1
    )
    if (limits[:, :2] <= 0).all() and (limits[:, 2:] >= (width, height)).all():
        return heatmaps
    edges = tensor_on_device_of(limits, heatmaps, torch.int64)
    x0, y0, x1, y1 = edges.T[..., None]
    x = torch.arange(width, device=heatmaps.device)
    y = torch.arange(height, device=heatmaps.device)
    inside_x, inside_y = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return torch.where(inside, heatmaps, 0)


@torch.compiler.disable  # numpy
def unpad_poses(
    poses: PaddedPoses, metainfos: Sequence[Mapping]
) -> ImagePoses:
    """Take each image's poses out of their padding, with one device wait.

    An image whose maps were not finite is reported in a warning and has none.
    """
    num_joints = poses.keypoints.shape[2]
    flags = torch.stack(
        (poses.valid, poses.finite[:, None].expand_as(poses.valid)), dim=-1
    )
    fields = [poses.keypoints.flatten(2), poses.keypoint_scores]
    if poses.depths is not None:
        fields.append(poses.depths)
    stops = np.cumsum([field.shape[2] for field in fields])
    packed = torch.cat((*fields, flags.float()), dim=-1)
    images = []
    for metainfo, image in zip(metainfos, packed.cpu().numpy(), strict=True):
        if not image[0, -1]:
            name = metainfo.get('img_path', metainfo.get('img_id', 'unknown'))
            warnings.warn(
                f'SPMHead: the predicted maps of image {name} hold NaN or '
                'infinity; it yields no poses',
                RuntimeWarning,
            )
        image = image[image[:, -2] > 0]
        keypoints, *others, _ = np.split(image, stops, axis=1)
        images.append((keypoints.reshape(-1, num_joints, 2), *others))
    return tuple(map(list, zip(*images, strict=True)))


@torch.compiler.disable  # numpy
def best_instances(
    poses: ImagePoses, limit: int, nms_batch: Callable | None = None
) -> list[InstanceData]:
    """Choose the poses of each image that are its people, ``limit`` at most.

    ``nms_batch`` is the ``batch`` of a pose NMS, which takes all images at
    once. In 3D a merged pose has the depths of the one that was kept.
    """
    people = []
    if nms_batch is None:
        for keypoints, scores in zip(*poses[:2], strict=True):
            means = scores.mean(axis=1)
            best = np.argsort(-means, kind='stable')
            people.append((best, keypoints[best], scores[best], means[best]))
    else:
        boxes = [bboxes_around(keypoints) for keypoints in poses[0]]
        for kept in nms_batch(*poses[:2], boxes):
            people.append(
                (kept.keep, kept.keypoints, kept.keypoint_scores, kept.scores)
            )
    instances = [
        InstanceData(
            keypoints=keypoints[:limit],
            keypoint_scores=scores[:limit],
            bboxes=bboxes_around(keypoints[:limit]),
            bbox_scores=instance_scores[:limit],
        )
        for _, keypoints, scores, instance_scores in people
    ]
    for depths in poses[2:]:
        for image, own, (keep, *_) in zip(
            instances, depths, people, strict=True
        ):
            image.keypoint_depths = own[keep[:limit]]
    return instances
