"""Merging SPM's maps of a mirrored or resized image with the original's.

Convention: cell u of a map lies at input pixel u * stride; mirroring an
input of width w sends pixel x to w - 1 - x.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..tensors import take_channels, tensor_on_device_of
from .decoding import PaddedPoses, valid_first


def unflip_heatmaps(
    heatmaps: Tensor,
    flip_indices: Sequence[int],
    stride: float,
    shift: bool = True,
) -> Tensor:
    r"""Turn the heatmaps of a mirrored image back.

    Mirrored back, the value at cell u belongs to ``u + (s - 1) / s`` for a
    stride of s pixels; the maps are resampled by this (linear, the border
    repeated).

    Args:
        heatmaps (Tensor): Maps (B, C, H, W) of the mirrored image, C being 1
            (root) or K+1 (joints, then root).
        flip_indices (Sequence[int]): The joint on the other side for each of
            the K joints.
        stride (float): s, input pixels per cell along x.
        shift (bool): Whether to resample. Defaults to ``True``.

    Returns:
        Tensor: The maps in the frame of the original image.
    """
    heatmaps = heatmaps.flip(-1)
    if heatmaps.shape[1] > 1:
        heatmaps = take_channels(heatmaps, [*flip_indices, len(flip_indices)])
    if not shift:
        return heatmaps
    fraction = (stride - 1) / stride
    left = torch.cat((heatmaps[..., :1], heatmaps[..., :-1]), dim=-1)
    return fraction * left + (1 - fraction) * heatmaps


def unflip_displacements(
    displacements: Tensor,
    flip_indices: Sequence[int],
    from_cell: Sequence[bool],
    stride: float,
    normalizer: float,
) -> Tensor:
    r"""Turn the displacements of a mirrored image back.

    x components change sign. A displacement that starts from the cell where
    it is read (flat, and level 2 of a hierarchy) also gains
    ``(s - 1) / s`` cells, because the mirrored cell lies that far from the
    cell it is stored in; a vector between two joints doesn't.

    Args:
        displacements (Tensor): Maps (B, 2K, H, W) of the mirrored image, or
            (B, 4K, H, W) with keypoint offsets.
        flip_indices (Sequence[int]): The joint on the other side for each of
            the K joints.
        from_cell (Sequence[bool]): Which vectors start from the cell.
        stride (float): s, input pixels per cell along x.
        normalizer (float): Z in cells, by which displacements are divided.

    Returns:
        Tensor: The maps in the frame of the original image.
    """
    batch, _, height, width = displacements.shape
    maps = displacements.reshape(batch, -1, 2, height, width).flip(-1)
    joints = len(flip_indices)
    starts = range(0, maps.shape[1], joints)
    maps = take_channels(maps, [i + j for i in starts for j in flip_indices])
    moved = tensor_on_device_of(from_cell, maps)
    moved = moved * ((stride - 1) / stride / normalizer)
    x = moved[:, None, None] - maps[:, :, 0]
    maps = torch.stack((x, maps[:, :, 1]), dim=2)
    return maps.reshape(batch, -1, height, width)


def merge_flipped(
    maps: tuple[Tensor, Tensor],
    mirrored: tuple[Tensor, Tensor],
    flip_indices: Sequence[int],
    from_cell: Sequence[bool],
    stride: float,
    normalizer: float,
    shift: bool = True,
) -> tuple[Tensor, Tensor]:
    """Average the maps of an image with those of the mirrored image.

    Args:
        maps (tuple[Tensor, Tensor]): Heatmaps (B, C, H, W) and displacements
            (B, 2K, H, W) of the image.
        mirrored (tuple[Tensor, Tensor]): The same of the mirrored image.
        flip_indices (Sequence[int]): The joint on the other side for each of
            the K joints.
        from_cell (Sequence[bool]): Which joints' displacements start from
            the cell.
        stride (float): Input pixels per cell along x.
        normalizer (float): Z in cells, by which displacements are divided.
        shift (bool): Whether to resample the mirrored heatmaps. Defaults to
            ``True``.

    Returns:
        tuple[Tensor, Tensor]: Heatmaps and displacements.
    """
    heatmaps = unflip_heatmaps(mirrored[0], flip_indices, stride, shift)
    displacements = unflip_displacements(
        mirrored[1], flip_indices, from_cell, stride, normalizer
    )
    return (maps[0] + heatmaps) / 2, (maps[1] + displacements) / 2


def resample_maps(
    heatmaps: Tensor,
    displacements: Tensor,
    from_cell: Sequence[bool],
    normalizer: float,
    scale_xy: tuple[float, float],
    shift_xy: tuple[float, float],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    r"""Bring the maps of a resized image into the frame of another size.

    With cell u here at cell ``u' = a * u + b`` of the frame wanted, vectors
    are multiplied by ``a``, and those that start from the cell where they
    are read are shortened by where the resampled cell then lies: the pose
    they point at stays.

    Args:
        heatmaps (Tensor): Maps (B, C, H, W).
        displacements (Tensor): Maps (B, 2K, H, W).
        from_cell (Sequence[bool]): Which joints' displacements start from
            the cell.
        normalizer (float): Z in cells, the same in both frames.
        scale_xy (tuple[float, float]): ``a`` along x and y.
        shift_xy (tuple[float, float]): ``b`` along x and y, in cells.
        size (tuple[int, int]): Size wanted (W', H').

    Returns:
        tuple[Tensor, Tensor]: Heatmaps (B, C, H', W') and displacements
        (B, 2K, H', W').
    """
    height, width = heatmaps.shape[-2:]
    # half precision would round places by parts of a cell
    heatmaps, displacements = heatmaps.float(), displacements.float()
    a = tensor_on_device_of(scale_xy, displacements)
    b = tensor_on_device_of(shift_xy, displacements)
    x = torch.arange(size[0], device=a.device, dtype=a.dtype)
    y = torch.arange(size[1], device=a.device, dtype=a.dtype)
    wanted = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
    source = (wanted - b) / a
    extent = tensor_on_device_of([max(width - 1, 1), max(height - 1, 1)], a)
    grid = (source / extent * 2 - 1).expand(len(heatmaps), -1, -1, -1)
    # a sample is the mean of vectors that start at cells around `source`,
    # on average at `source` itself clamped to the map
    start = torch.minimum(source.clamp(min=0), extent)
    sampled = [
        F.grid_sample(maps, grid, padding_mode='border', align_corners=True)
        for maps in (heatmaps, displacements)
    ]
    vectors = sampled[1].unflatten(1, (-1, 2)) * a[:, None, None]
    gap = (start * a + b - wanted).permute(2, 0, 1) / normalizer
    moved = tensor_on_device_of(from_cell, a)
    vectors = vectors + moved[:, None, None, None] * gap
    return sampled[0], vectors.flatten(1, 2)


def read_frames(
    metas: Sequence[dict],
) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    """Read the sizes and regions of a batch's inputs in several scales.

    Args:
        metas (Sequence[dict]): Meta information of the images:
            ``input_size``, ``aug_input_sizes``, ``input_scale``,
            ``aug_input_scales``.

    Returns:
        tuple: Of the first image the inputs' sizes [w, h], and the regions
        (w, h) of the image that they show, in its pixels.

    Raises:
        ValueError: If those of another image lie otherwise to one another,
            so that its maps cannot be merged with these.
    """
    frames = [
        (
            [meta['input_size'], *meta['aug_input_sizes']],
            [meta['input_scale'], *meta['aug_input_scales']],
        )
        for meta in metas
    ]
    first = np.array(to_first_input(*frames[0]))
    for meta, (sizes, scales) in zip(metas, frames, strict=True):
        if not np.array_equal(sizes, frames[0][0]) or not np.allclose(
            to_first_input(sizes, scales), first, rtol=1e-4, atol=1e-3
        ):
            raise ValueError(
                'the multi-scale test takes batches of images that have the '
                f'same sizes at each scale, {meta.get("img_path")} has '
                f'{sizes}, another image {frames[0][0]}: set resize_mode='
                "'fit' in MultiscaleBottomupResize, or batch_size=1"
            )
    return frames[0]


def to_first_input(
    input_sizes: Sequence[tuple[int, int]],
    input_scales: Sequence[np.ndarray],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """How pixels of an image's inputs lie in the first of them.

    Pixel x of an input lies at ``x / input_size * input_scale -
    input_scale / 2`` from the image's centre, in pixels of the image.

    Args:
        input_sizes (Sequence[tuple[int, int]]): The inputs' sizes [w, h].
        input_scales (Sequence[np.ndarray]): The regions (w, h) of the image
            that they show, in its pixels.

    Returns:
        list[tuple[np.ndarray, np.ndarray]]: ``a`` and ``b``, (2,) each, for
        each input: its pixel x lies at pixel ``a * x + b`` of the first.
    """
    base_size, base_scale = np.asarray(input_sizes[0]), input_scales[0]
    frames = []
    for size, scale in zip(input_sizes, input_scales, strict=True):
        ratio = np.asarray(scale) / size * base_size / base_scale
        frames.append((ratio, (base_size - np.asarray(size) * ratio) / 2))
    return frames


def merge_scales(
    maps: Sequence[tuple[Tensor, Tensor]],
    input_sizes: Sequence[tuple[int, int]],
    input_scales: Sequence[np.ndarray],
    from_cell: Sequence[bool],
    stride: np.ndarray,
    normalizer: float,
) -> tuple[Tensor, Tensor]:
    """Average the maps of an image in several sizes.

    Args:
        maps (Sequence[tuple[Tensor, Tensor]]): For each size heatmaps
            (B, C, H, W) and displacements (B, 2K, H, W).
        input_sizes (Sequence[tuple[int, int]]): The inputs' sizes [w, h].
        input_scales (Sequence[np.ndarray]): The regions (w, h) of the image
            that they show, in its pixels.
        from_cell (Sequence[bool]): Which joints' displacements start from
            the cell.
        stride (np.ndarray): Input pixels per cell (x, y), at every size.
        normalizer (float): Z in cells, at every size.

    Returns:
        tuple[Tensor, Tensor]: Heatmaps and displacements in the frame of the
        first size.
    """
    height, width = maps[0][0].shape[-2:]
    frames = to_first_input(input_sizes, input_scales)
    merged = [tuple(own.float() for own in maps[0])]
    for own_maps, (scale, shift) in zip(maps[1:], frames[1:], strict=True):
        merged.append(
            resample_maps(
                *own_maps,
                from_cell,
                normalizer,
                tuple(scale.tolist()),
                tuple((shift / stride).tolist()),
                (width, height),
            )
        )
    heatmaps, displacements = zip(*merged, strict=True)
    return (
        torch.stack(heatmaps).mean(dim=0),
        torch.stack(displacements).mean(dim=0),
    )


def merge_poses(
    poses: Sequence[PaddedPoses],
    input_sizes: Sequence[tuple[int, int]],
    input_scales: Sequence[np.ndarray],
    size_range: tuple[float, float],
) -> PaddedPoses:
    """Join the poses of an image's sizes, each from where its size is right.

    A pose counts where the longer side of the box around its joints, in
    pixels of the input that it was read from, is in ``size_range``. In the
    input that shows the image largest smaller people count too, in the one
    that shows it smallest larger people. A person of a size that suits
    several inputs is there several times: a pose NMS comes next.

    Args:
        poses (Sequence[PaddedPoses]): Those of each size, in input pixels.
        input_sizes (Sequence[tuple[int, int]]): The inputs' sizes [w, h].
        input_scales (Sequence[np.ndarray]): The regions (w, h) of the image
            that they show, in its pixels.
        size_range (tuple[float, float]): The sizes, both included, at which
            a pose counts, in input pixels.

    Returns:
        PaddedPoses: All candidates, in pixels of the first input, those that
        count first. An image whose maps were not finite at one of the sizes
        has no valid pose.

    Raises:
        ValueError: If ``size_range`` is no range, or so narrow, for these
            sizes of the image, that somebody would be too large in one and
            too small in the next.
    """
    frames = to_first_input(input_sizes, input_scales)
    # how large each input shows the image, beside the first
    zooms = [1 / float(ratio.min()) for ratio, _ in frames]
    _check_range(size_range, zooms)
    keypoints, valid = [], []
    for own, zoom, (ratio, shift) in zip(poses, zooms, frames, strict=True):
        sides = own.keypoints.amax(dim=2) - own.keypoints.amin(dim=2)
        longer = sides.amax(dim=-1)
        counts = own.valid
        if zoom < max(zooms):
            counts = counts & (longer >= size_range[0])
        if zoom > min(zooms):
            counts = counts & (longer <= size_range[1])
        valid.append(counts)
        keypoints.append(
            own.keypoints * tensor_on_device_of(ratio, own.keypoints)
            + tensor_on_device_of(shift, own.keypoints)
        )
    finite = torch.stack([own.finite for own in poses]).all(dim=0)
    return valid_first(
        PaddedPoses(
            torch.cat(keypoints, dim=1),
            torch.cat([own.root_scores for own in poses], dim=1),
            torch.cat([own.keypoint_scores for own in poses], dim=1),
            torch.cat(valid, dim=1) & finite[:, None],
            finite,
        )
    )


def _check_range(size_range: tuple[float, float], zooms: list[float]) -> None:
    if np.shape(size_range) != (2,) or not 0 <= size_range[0] < size_range[1]:
        raise ValueError(
            'test_cfg.pose_size_range must be two numbers of pixels, the '
            f'lowest and the highest size, got {size_range!r}'
        )
    low, high = size_range
    steps = sorted(zooms)
    widest = max(
        (b / a for a, b in zip(steps[:-1], steps[1:], strict=True)),
        default=1.0,
    )
    # regions are float32 in mmpose
    if low * widest > high * (1 + 1e-4):
        raise ValueError(
            f'test_cfg.pose_size_range={tuple(size_range)} leaves a gap: its '
            'second number must be at least the first times the largest '
            f'ratio between sizes of the image, here {widest:.2f}'
        )
