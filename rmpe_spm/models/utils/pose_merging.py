"""Merging the poses that SPM reads from an image in several sizes.

A network knows people of the sizes at which it was trained. Which size of
the image shows a person at one of them depends on the person, so that each
pose is taken from the sizes where it is neither too small nor too large, as
`SNIP`_ does with boxes.

.. _SNIP: https://arxiv.org/abs/1711.08189
"""

from collections.abc import Sequence

import numpy as np
import torch

from ...structures.constants import constant_like
from ...structures.padded_poses import PaddedPoses, valid_first
from .pose_map_merging import to_first_input


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
            own.keypoints * constant_like(ratio, own.keypoints)
            + constant_like(shift, own.keypoints)
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
