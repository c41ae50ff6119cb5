"""From the padded poses of a batch to mmpose's instances, image by image."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ..poses import bboxes_around
from ..tensors import tensor_on_device_of
from .decoding import PaddedPoses


def check_map_size(
    map_size: tuple[int, int],
    batch_input_size: tuple[int, int],
    scale_factor: Sequence[float],
    owner: str,
) -> None:
    """Refuse maps of another stride than the codec's.

    Args:
        map_size (tuple[int, int]): Size of the maps (W, H), in cells.
        batch_input_size (tuple[int, int]): Size (w, h) of the images that
            they are of, with their padding, in pixels.
        scale_factor (Sequence[float]): Pixels per cell (x, y), of the codec.
        owner (str): Who asks, for the message.

    Raises:
        ValueError: If the maps differ by a cell or more.
    """
    expected = [
        pixels / stride
        for pixels, stride in zip(batch_input_size, scale_factor, strict=True)
    ]
    if any(
        abs(got - want) >= 1
        for got, want in zip(map_size, expected, strict=True)
    ):
        raise ValueError(
            f'{owner}: the network makes maps of '
            f'{map_size[0]}x{map_size[1]} cells of images of '
            f'{batch_input_size[0]}x{batch_input_size[1]} pixels, but the '
            f'codec has {scale_factor[0]:g}x{scale_factor[1]:g} pixels a '
            'cell: its input_size and heatmap_size are not those of this '
            'network'
        )


def image_regions(
    metas: Sequence[dict], scale: int = 0
) -> list[tuple[float, float, float, float]]:
    """Where the inputs of a batch show their images.

    An image of other proportions than its input, resized to fit, leaves bars
    at two sides of it.

    Args:
        metas (Sequence[dict]): Meta information of the images:
            ``input_size``, and where bars are to be told ``ori_shape``,
            ``input_center`` and ``input_scale``; for further scales
            ``aug_input_sizes`` and ``aug_input_scales``.
        scale (int): Which of an image's inputs. Defaults to 0, the first.

    Returns:
        list[tuple]: For each image (x0, y0, x1, y1) in pixels of its input,
        of which it shows no more than what lies in the input.
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
    scale_factor: Sequence[float],
) -> Tensor:
    """Set heatmaps to 0 where their image was padded.

    Nobody is there, and what the network finds there would take up places
    among the candidates. At every side one cell is left at or beyond the
    image's border: with it a place at the border is read between cells.

    Args:
        heatmaps (Tensor): (B, C, H, W).
        regions (Sequence[tuple]): Where each of the B images lies, (x0, y0,
            x1, y1) in pixels of its input.
        scale_factor (Sequence[float]): Pixels per cell (x, y).

    Returns:
        Tensor: The same shape; the same tensor where nothing is padded.
    """
    height, width = heatmaps.shape[-2:]
    step_x, step_y = scale_factor
    limits = [
        [
            math.floor(_cells(x0, step_x)),
            math.floor(_cells(y0, step_y)),
            math.ceil(_cells(x1, step_x)) + 1,
            math.ceil(_cells(y1, step_y)) + 1,
        ]
        for x0, y0, x1, y1 in regions
    ]
    if all(
        x0 <= 0 and y0 <= 0 and x1 >= width and y1 >= height
        for x0, y0, x1, y1 in limits
    ):
        return heatmaps
    edges = tensor_on_device_of(limits, heatmaps, torch.int64)
    x0, y0, x1, y1 = edges.T[..., None]
    x = torch.arange(width, device=heatmaps.device)
    y = torch.arange(height, device=heatmaps.device)
    inside_x, inside_y = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return torch.where(inside, heatmaps, 0)


def _cells(pixels: float, step: float) -> float:
    """Pixels in cells, without the rounding of float32 regions."""
    return round(pixels / step, 3)


# Keypoints (N, K, 2) and their scores (N, K) of each image
ImagePoses = tuple[list[np.ndarray], list[np.ndarray]]


def unpad_poses(
    poses: PaddedPoses, metainfos: Sequence[Mapping]
) -> ImagePoses:
    """Take the poses out of their padding, with one wait for the device.

    An image whose maps were not finite is reported in a warning, by its path
    or id, and has no poses.

    Args:
        poses (PaddedPoses): Those of B images.
        metainfos (Sequence[Mapping]): What is known of these images.

    Returns:
        tuple[list[np.ndarray], list[np.ndarray]]: For each image the
        keypoints (N, K, 2) and their scores (N, K), those of the highest root
        first, float32.
    """
    num_joints = poses.keypoints.shape[2]
    flags = torch.stack(
        (poses.valid, poses.finite[:, None].expand_as(poses.valid)), dim=-1
    )
    packed = torch.cat(
        (poses.keypoints.flatten(2), poses.keypoint_scores, flags.float()),
        dim=-1,
    )
    keypoints, scores = [], []
    for metainfo, image in zip(metainfos, packed.cpu().numpy(), strict=True):
        if not image[0, -1]:
            name = metainfo.get('img_path', metainfo.get('img_id', 'unknown'))
            warnings.warn(
                f'SPMHead: the predicted maps of image {name} hold NaN or '
                'infinity; it yields no poses',
                RuntimeWarning,
            )
        # the poses come before the other candidates
        image = image[: np.count_nonzero(image[:, -2])]
        keypoints.append(image[:, : 2 * num_joints].reshape(-1, num_joints, 2))
        scores.append(image[:, 2 * num_joints : 3 * num_joints])
    return keypoints, scores


def best_instances(
    poses: ImagePoses, limit: int, nms_batch: Callable | None = None
) -> list[InstanceData]:
    """Choose the poses of each image that are its people.

    Args:
        poses (tuple): Keypoints (N, K, 2) and scores (N, K) of each image.
        limit (int): The most people of an image.
        nms_batch (Callable, optional): ``batch`` of a pose NMS from
            ``TASK_UTILS``, which takes all images at once. Defaults to
            ``None``: nothing is suppressed.

    Returns:
        list[InstanceData]: ``keypoints``, ``keypoint_scores``, ``bboxes`` (in
        xyxy format, around the joints) and ``bbox_scores`` (without an NMS
        the mean of the joints') of each image, best first.
    """
    if nms_batch is None:
        return [
            _best_people(*image, limit) for image in zip(*poses, strict=True)
        ]
    boxes = [bboxes_around(keypoints) for keypoints in poses[0]]
    return [
        _to_instances(
            kept.keypoints[:limit],
            kept.keypoint_scores[:limit],
            kept.scores[:limit],
        )
        for kept in nms_batch(*poses, boxes)
    ]


def _best_people(
    keypoints: np.ndarray, scores: np.ndarray, limit: int
) -> InstanceData:
    """The instances of one image, those of the highest mean score first."""
    instance_scores = scores.mean(axis=1)
    best = np.argsort(-instance_scores, kind='stable')[:limit]
    return _to_instances(keypoints[best], scores[best], instance_scores[best])


def _to_instances(
    keypoints: np.ndarray, scores: np.ndarray, instance_scores: np.ndarray
) -> InstanceData:
    return InstanceData(
        keypoints=keypoints,
        keypoint_scores=scores,
        bboxes=bboxes_around(keypoints),
        bbox_scores=instance_scores,
    )
