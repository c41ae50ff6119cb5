"""Testing an image mirrored and in several sizes, and merging what comes out.

Convention: cell u of a map lies at input pixel u * stride; mirroring an input
of width w sends pixel x to w - 1 - x.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmpose.datasets.transforms import BottomupResize, PackPoseInputs
from mmpose.datasets.transforms.formatting import image_to_tensor
from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import MODELS, TRANSFORMS
from mmpose.utils.typing import ForwardResults, OptSampleList, SampleList
from torch import Tensor

from ..tensors import take_channels, tensor_on_device_of
from .decoding import PaddedPoses
from .kinematics import PoseRepresentation
from .stage import Maps

# Sizes [w, h] of an image's inputs, and the regions (w, h) of the image that
# they show, in its pixels
Inputs = tuple[Sequence[tuple[int, int]], Sequence[np.ndarray]]


def merge_flipped(
    maps: Maps,
    mirrored: Maps,
    flip_indices: Sequence[int],
    representation: PoseRepresentation,
    stride: float,
    shift: bool = True,
) -> Maps:
    """Average the maps of an image with those of the mirrored image.

    Mirrored back, the value at cell u belongs to ``u + (s - 1) / s`` for a
    ``stride`` of s pixels along x. Heatmaps are resampled by this, unless
    ``shift`` is off. Of displacements the x components change sign, and those
    that start from the cell where they are read gain ``(s - 1) / s`` cells.
    """
    heatmaps = unflip_heatmaps(mirrored[0], flip_indices, stride, shift)
    displacements = unflip_displacements(
        mirrored[1], flip_indices, representation, stride
    )
    return (maps[0] + heatmaps) / 2, (maps[1] + displacements) / 2


def unflip_heatmaps(
    heatmaps: Tensor,
    flip_indices: Sequence[int],
    stride: float,
    shift: bool = True,
) -> Tensor:
    """Turn heatmaps (root, or joints and root) of a mirrored image back."""
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
    representation: PoseRepresentation,
    stride: float,
) -> Tensor:
    """Turn the displacements of a mirrored image back."""
    num_depths = representation.num_depths
    vectors, depths = displacements.flip(-1).split(
        (displacements.shape[1] - num_depths, num_depths), dim=1
    )
    maps = vectors.unflatten(1, (-1, 2))
    starts = range(0, maps.shape[1], len(flip_indices))
    maps = take_channels(maps, [i + j for i in starts for j in flip_indices])
    moved = tensor_on_device_of(representation.starts_from_cell, maps)
    moved = moved * ((stride - 1) / stride / representation.normalizer)
    x = moved[:, None, None] - maps[:, :, 0]
    vectors = torch.stack((x, maps[:, :, 1]), dim=2).flatten(1, 2)
    if not num_depths:
        return vectors
    starts = range(0, num_depths - 1, len(flip_indices))
    others = [i + j for i in starts for j in flip_indices]
    depths = take_channels(depths, [*others, num_depths - 1])
    return torch.cat((vectors, depths), dim=1)


def read_inputs(metas: Sequence[dict]) -> Inputs:
    """Read the inputs of a batch of images in several sizes, equal for all."""
    inputs = [
        (
            [meta['input_size'], *meta['aug_input_sizes']],
            [meta['input_scale'], *meta['aug_input_scales']],
        )
        for meta in metas
    ]
    first = np.array(to_first_input(inputs[0]))
    for meta, own in zip(metas, inputs, strict=True):
        if not np.array_equal(own[0], inputs[0][0]) or not np.allclose(
            to_first_input(own), first, rtol=1e-4, atol=1e-3
        ):
            raise ValueError(
                'the multi-scale test takes batches of images that have the '
                f'same sizes at each scale, {meta.get("img_path")} has '
                f'{own[0]}, another image {inputs[0][0]}: set resize_mode='
                "'fit' in MultiscaleBottomupResize, or batch_size=1"
            )
    return inputs[0]


def to_first_input(inputs: Inputs) -> list[tuple[np.ndarray, np.ndarray]]:
    """How pixels of an image's inputs lie in the first of them.

    Gives ``a`` and ``b``, (2,) each, for each input: its pixel x lies at
    pixel ``a * x + b`` of the first.
    """
    sizes, regions = inputs
    base_size, base_region = np.asarray(sizes[0]), regions[0]
    frames = []
    for size, region in zip(sizes, regions, strict=True):
        ratio = np.asarray(region) / size * base_size / base_region
        frames.append((ratio, (base_size - np.asarray(size) * ratio) / 2))
    return frames


def merge_scales(
    maps: Sequence[Maps],
    inputs: Inputs,
    representation: PoseRepresentation,
    stride: np.ndarray,
) -> Maps:
    """Average the maps of an image in several sizes, in the first's frame."""
    size = maps[0][0].shape[:1:-1]
    merged = [tuple(own.float() for own in maps[0])]
    frames = to_first_input(inputs)
    for own, (scale, shift) in zip(maps[1:], frames[1:], strict=True):
        frame = scale.tolist(), (shift / stride).tolist()
        merged.append(resample_maps(own, representation, frame, size))
    heatmaps, displacements = zip(*merged, strict=True)
    return (
        torch.stack(heatmaps).mean(dim=0),
        torch.stack(displacements).mean(dim=0),
    )


def resample_maps(
    maps: Maps,
    representation: PoseRepresentation,
    frame: tuple[Sequence[float], Sequence[float]],
    size: tuple[int, int],
) -> Maps:
    """Bring the maps of a resized image into the frame (W', H') of another.

    With cell u here at cell ``u' = a * u + b`` of the frame wanted (``a`` and
    ``b`` along x and y), vectors are multiplied by ``a``, and those that
    start from the cell where they are read are shortened by where the
    resampled cell then lies: the pose they point at stays.
    """
    # half precision would round places by parts of a cell
    heatmaps, displacements = (own.float() for own in maps)
    height, width = heatmaps.shape[-2:]
    a, b = (tensor_on_device_of(values, displacements) for values in frame)
    x = torch.arange(size[0], device=a.device, dtype=a.dtype)
    y = torch.arange(size[1], device=a.device, dtype=a.dtype)
    wanted = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
    source = (wanted - b) / a
    extent = tensor_on_device_of([max(width - 1, 1), max(height - 1, 1)], a)
    grid = (source / extent * 2 - 1).expand(len(heatmaps), -1, -1, -1)
    # a sample is the mean of vectors that start at cells around `source`,
    # on average at `source` itself clamped to the map
    start = torch.minimum(source.clamp(min=0), extent)
    heatmaps, displacements = (
        F.grid_sample(own, grid, padding_mode='border', align_corners=True)
        for own in (heatmaps, displacements)
    )
    num_depths = representation.num_depths
    vectors, depths = displacements.split(
        (displacements.shape[1] - num_depths, num_depths), dim=1
    )
    vectors = vectors.unflatten(1, (-1, 2)) * a[:, None, None]
    gap = (start * a + b - wanted).permute(2, 0, 1)
    gap = gap / representation.normalizer
    moved = tensor_on_device_of(representation.starts_from_cell, a)
    vectors = (vectors + moved[:, None, None, None] * gap).flatten(1, 2)
    if not num_depths:
        return heatmaps, vectors
    # joints lie as many pixels more behind the root as beside it, and a pixel
    # stands for so much less
    zoom = a.prod().sqrt()
    joints, root = depths[:, :-1] * zoom, depths[:, -1:] - zoom.log()
    return heatmaps, torch.cat((vectors, joints, root), dim=1)


def merge_scale_poses(
    poses: Sequence[PaddedPoses],
    inputs: Inputs,
    size_range: tuple[float, float],
) -> PaddedPoses:
    """Join the poses of an image's sizes, each from where its size is right.

    A pose counts where the longer side of the box around its joints, in
    pixels of its input, is in ``size_range``. In the input that shows the
    image largest smaller people count too, in the one that shows it smallest
    larger people. Several inputs may have a person: a pose NMS comes next.

    All candidates come back, in pixels of the first input. It is an error if
    somebody would be too large in one input and too small in the next.
    """
    frames = to_first_input(inputs)
    # how large each input shows the image, beside the first
    zooms = [1 / float(ratio.min()) for ratio, _ in frames]
    _check_range(size_range, zooms)
    keypoints, valid, depths = [], [], []
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
        if own.depths is not None:
            joints, root = own.depths[..., :-1], own.depths[..., -1:]
            larger = float(np.sqrt(ratio.prod()))
            root = root - math.log(larger)
            depths.append(torch.cat((joints * larger, root), dim=-1))
    finite = torch.stack([own.finite for own in poses]).all(dim=0)
    return PaddedPoses(
        torch.cat(keypoints, dim=1),
        torch.cat([own.root_scores for own in poses], dim=1),
        torch.cat([own.keypoint_scores for own in poses], dim=1),
        torch.cat(valid, dim=1) & finite[:, None],
        finite,
        torch.cat(depths, dim=1) if depths else None,
    )


def _check_range(size_range: tuple[float, float], zooms: list[float]) -> None:
    low, high = size_range
    steps = np.sort(zooms)
    widest = np.max(steps[1:] / steps[:-1], initial=1)
    # regions are float32 in mmpose
    if low * widest > high * (1 + 1e-4):
        raise ValueError(
            f'test_cfg.pose_size_range={tuple(size_range)} leaves a gap: its '
            'second number must be at least the first times the largest '
            f'ratio between sizes of the image, here {widest:.2f}'
        )


@TRANSFORMS.register_module()
class MultiscaleBottomupResize(BottomupResize):
    """:class:`BottomupResize` that says where each extra scale lies.

    The sizes are rounded up to multiples of ``size_factor``, so that the
    image takes another part of the input at each scale. Merging the scales
    exactly needs to know it.

    Added Keys (beside those of :class:`BottomupResize`):

        - aug_input_sizes: [w, h] of the input at each extra scale
        - aug_input_scales: the image region (w, h), in image pixels and
          around the image's centre, that it shows
    """

    def transform(self, results: dict) -> dict | None:
        """Resize the image to all sizes; ``ori_shape`` must be there."""
        img_h, img_w = results['ori_shape']
        results = super().transform(results)
        sizes, scales = [], []
        for factor in self.aug_scales or []:
            wanted = tuple(int(side * factor) for side in self.input_size)
            actual, padded = self._get_input_size((img_w, img_h), wanted)
            sizes.append(padded)
            scales.append(
                np.array([img_w, img_h]) * np.array(padded) / np.array(actual)
            )
        results['aug_input_sizes'] = sizes
        results['aug_input_scales'] = scales
        return results


@TRANSFORMS.register_module()
class PackMultiscalePoseInputs(PackPoseInputs):
    """:class:`PackPoseInputs` for images in several sizes.

    ``inputs`` becomes a list with one tensor for each scale, the base scale
    first, which :class:`MultiscaleBottomupPoseEstimator` takes.

    Args:
        **kwargs (Any): As in :class:`PackPoseInputs`; the ``meta_keys`` that
            merging the scales needs are always added.
    """

    scale_keys = ('aug_scales', 'aug_input_sizes', 'aug_input_scales')

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meta_keys = (*self.meta_keys, *self.scale_keys)

    def transform(self, results: dict) -> dict:
        """Pack ``inputs`` and ``data_samples``; ``img`` must be a list."""
        images = results['img']
        if not isinstance(images, list):
            raise ValueError(
                'PackMultiscalePoseInputs: the image comes in one size only; '
                'put MultiscaleBottomupResize with `aug_scales` before it'
            )
        packed = super().transform(results | dict(img=images[0]))
        packed['inputs'] = [image_to_tensor(image) for image in images]
        return packed


@MODELS.register_module()
class MultiscaleBottomupPoseEstimator(BottomupPoseEstimator):
    """:class:`BottomupPoseEstimator` for images in several sizes at test.

    It takes what :class:`PackMultiscalePoseInputs` packs, one tensor for each
    scale, and runs the scales one after the other. It needs
    ``multiscale_test=True`` in ``test_cfg`` and in the test pipeline
    ``MultiscaleBottomupResize`` with ``aug_scales``. Without
    ``multiscale_test`` it is its parent.

    With more than one image a batch, all must have the same size at each
    scale (``resize_mode='fit'``).
    """

    def test_step(self, data: dict) -> SampleList:
        """Predict from a batch of the data loader.

        ``inputs`` are, for each scale, a list of the images' tensors (C, H,
        W). It is an error if they come in a single scale with
        ``multiscale_test``, or in several without.
        """
        pyramid, samples = data['inputs'], data['data_samples']
        several = all(isinstance(images, (list, tuple)) for images in pyramid)
        if several != self.test_cfg.get('multiscale_test', False):
            raise ValueError(
                'MultiscaleBottomupPoseEstimator: the test pipeline makes '
                f'images in {"several scales" if several else "one scale"}: '
                'test_cfg.multiscale_test goes with MultiscaleBottomupResize '
                '(`aug_scales`) and PackMultiscalePoseInputs, and not without'
            )
        if not several:
            return super().test_step(data)
        inputs = []
        # the base scale comes last here: its size stays in the samples
        for images in reversed(pyramid):
            scale = self.data_preprocessor(
                dict(inputs=list(images), data_samples=samples)
            )
            inputs.insert(0, scale['inputs'])
        return self(
            inputs=inputs, data_samples=scale['data_samples'], mode='predict'
        )

    val_step = test_step

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: OptSampleList,
        mode: str = 'tensor',
    ) -> ForwardResults:
        """Compute what ``mode`` asks for, as all estimators of mmpose.

        With ``multiscale_test`` and ``'predict'`` the inputs are a list with
        the images (B, C, H, W) of each scale, which mmpose would stack.
        """
        pyramid = self.test_cfg.get('multiscale_test', False)
        if not (pyramid and mode == 'predict'):
            return super().forward(inputs, data_samples, mode)
        if self.metainfo is not None:
            for sample in data_samples:
                sample.set_metainfo(self.metainfo)
        return self.predict(inputs, data_samples)
