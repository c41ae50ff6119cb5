"""What bottom-up models are trained on: windows on people, masks of crowds."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import (
    BottomupGetHeatmapMask,
    BottomupRandomAffine,
)
from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import MODELS, TRANSFORMS
from xtcocotools import mask as cocomask

from ..cameras import focal_length
from ..poses import visibility_flags


@MODELS.register_module()
class StrictPoseDataPreprocessor(PoseDataPreprocessor):
    """mmpose's data preprocessor for networks of several levels.

    Levels of strides up to 32 fit on one another only where width and height
    are multiples of 32. Elsewhere a network stops with sizes that say little,
    as HRNet does, or adds levels whose cells lie beside one another.

    Args:
        size_divisor (int): What width and height must be multiples of, in
            input pixels. Defaults to 32.
        **kwargs: Arguments of ``PoseDataPreprocessor``.
    """

    def __init__(self, size_divisor: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size_divisor = size_divisor

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, pad and stack the images, as mmpose does.

        It is an error if W or H is no multiple of ``size_divisor``.
        """
        data = super().forward(data, training)
        height, width = data['inputs'].shape[-2:]
        if height % self.size_divisor or width % self.size_divisor:
            raise ValueError(
                f'the input is {width}x{height}, but width and height must '
                f'be multiples of {self.size_divisor} '
                '(model.data_preprocessor.size_divisor): set size_factor='
                f'{self.size_divisor} in BottomupResize, or another '
                'input_size'
            )
        return data


@TRANSFORMS.register_module()
class KeypointDepths(BaseTransform):
    """Tell :class:`~rmpe_spm.HierarchicalSPR3DCodec` the joints' depths.

    It comes after the transforms that warp the picture: a mirrored person's
    joints change sides, and the focal length grows with the picture. Only
    horizontal mirroring is known. Pictures without 3D annotations pass as they
    are, so that they train together with others.

    Required Keys: ``keypoints_cam`` (N, K, 3), in millimetres of the
    camera's space, and ``camera``; ``warp_mat`` and ``flip`` where there are
    any.

    Added Keys: ``keypoint_depths`` (N, K) and ``focal_length``, in pixels of
    the input.
    """

    def transform(self, results: dict) -> dict:
        """Add the depths; a ``ValueError`` if there is no camera for them."""
        if results.get('keypoints_cam') is None:
            return results
        if results.get('camera') is None:
            raise ValueError(
                f'KeypointDepths: {results.get("img_path")} has keypoints_cam '
                'but no camera, without which depths mean nothing'
            )
        depths = results['keypoints_cam'][..., 2]
        warp = np.asarray(results.get('warp_mat', np.eye(2, 3)))[:2, :2]
        determinant = float(np.linalg.det(warp))
        if (determinant < 0) != bool(results.get('flip')):
            depths = depths[:, results['flip_indices']]
        results['keypoint_depths'] = depths
        zoom = np.sqrt(abs(determinant))
        results['focal_length'] = focal_length(results['camera']) * zoom
        return results


@TRANSFORMS.register_module()
class BottomupGetCrowdMask(BottomupGetHeatmapMask):
    """Mask people without keypoints, and crowds.

    mmpose's :class:`BottomupGetHeatmapMask` reads polygons only and passes
    run lengths over without a word. COCO has its ``iscrowd`` regions as run
    lengths, so that crowds would be trained as background. Here both are
    masked; all else, the keys and the argument too, is mmpose's.

    A region of another size than the image's is not masked, with one warning.
    Polygons of fewer than three points, and none at all, mask nothing.
    """

    def _segs_to_mask(
        self, segs: Sequence, img_shape: tuple[int, int]
    ) -> np.ndarray:
        """A mask (h, w) uint8, 1 where a segmentation, polygons or RLE, is."""
        # a triangle is six numbers
        polygons = [
            [p for p in seg if isinstance(p, Mapping) or len(p) >= 6]
            for seg in segs
            if isinstance(seg, list | tuple)
        ]
        # mmpose stops at a list without any
        mask = super()._segs_to_mask(list(filter(None, polygons)), img_shape)
        rles = []
        for seg in segs:
            if not isinstance(seg, Mapping):
                continue
            if tuple(seg['size']) != tuple(img_shape):
                warnings.warn(
                    'BottomupGetCrowdMask: a region of (h, w) = '
                    f'{tuple(seg["size"])} in an image of {tuple(img_shape)} '
                    'is not masked; do the annotations belong to the images?',
                    stacklevel=2,
                )
            elif isinstance(seg['counts'], list):
                rles.append(cocomask.frPyObjects(dict(seg), *img_shape))
            else:
                rles.append(dict(seg))
        if rles:
            mask = mask | cocomask.decode(cocomask.merge(rles))
        return mask


@TRANSFORMS.register_module()
class BottomupInstanceAffine(BottomupRandomAffine):
    """Warp a window around one person of the picture, drawn at random.

    Most of a picture shows nobody, and a convolutional network that is
    tested on whole pictures can be trained on a part of each: the samples
    are smaller and have people in them. Everybody in the window is trained,
    not only the person that it was laid around.

    The window shows the picture as it is when resized into ``picture_size``,
    or smaller where the person would not fit, and that times a factor drawn
    from ``scale_factor``. With a ``picture_size`` that makes most people as
    large as the window, the person that it is laid around is always of one
    range of sizes, as in `SNIP`_, and the test can read each person from a
    size of the picture that shows them so (``pose_size_range`` of
    :class:`~rmpe_spm.SPMHead`). The window's centre is the centre of the
    person's box, shifted at random. In a picture without labelled people it
    lies anywhere.

    ``RandomFlip`` comes before it; after it the window would have to be
    square. The mirroring is taken into ``warp_mat``, which then leads from
    the picture as it was to the window, and ``flip`` becomes False:
    ``BottomupGetCrowdMask``, which warps the crowds of the picture as it
    was, so puts them where they are seen.

    Keys as :class:`BottomupRandomAffine`; ``keypoints``, ``keypoints_visible``
    and ``bbox`` must be there.

    Args:
        input_size (tuple): (w, h) of the window.
        picture_size (tuple): (w, h) that a whole picture would be resized
            into, with its aspect ratio: the test's, the largest if it has
            several.
        scale_factor (tuple): Bounds of the uniform random scale. With one
            above ``padding`` a person may stick out. Defaults to
            (0.75, 1.25).
        shift_factor (float): The largest shift on each axis, as a share of the
            window. Defaults to 0.15.
        padding (float): How many times the person's box must fit into the
            window at a scale of 1. Defaults to 1.15.
        **kwargs (Any): Other arguments of ``BottomupRandomAffine``, rotation
            among them. ``distribution`` and ``scale_type`` are given.

    .. _SNIP: https://arxiv.org/abs/1711.08189
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        picture_size: tuple[int, int],
        scale_factor: tuple[float, float] = (0.75, 1.25),
        shift_factor: float = 0.15,
        padding: float = 1.15,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size,
            shift_factor=shift_factor,
            scale_factor=scale_factor,
            scale_type='long',
            distribution='uniform',
            **kwargs,
        )
        if kwargs.get('transform_mode') == 'perspective':
            raise ValueError(
                "BottomupInstanceAffine: transform_mode='perspective' cannot "
                "lay a window around a person: take 'affine' or 'affine_udp'"
            )
        self.picture_size = np.array(picture_size, float)
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Warp the picture and its people into a window."""
        self._picture = np.array(results['img_shape'][1::-1], float)
        flags = visibility_flags(results['keypoints_visible'])
        labelled = (flags > 0).any(axis=1)
        boxes = results['bbox'][labelled]
        # NumPy's global state, as all of mmpose's transforms use
        self._box = None
        if len(boxes):
            self._box = boxes[np.random.randint(len(boxes))]  # noqa: NPY002
        results = super().transform(results)
        if results.get('flip'):
            results['warp_mat'] = results['warp_mat'] @ self._mirror(
                results['flip_direction']
            )
            results.update(flip=False, flip_direction=None)
        return results

    def _mirror(self, direction: str) -> np.ndarray:
        """How RandomFlip moved the picture's pixels, (3, 3)."""
        width, height = self._picture
        mirror = np.eye(3)
        if direction in ('horizontal', 'diagonal'):
            mirror[0] = -1, 0, width - 1
        if direction in ('vertical', 'diagonal'):
            mirror[1] = 0, -1, height - 1
        return mirror

    def _get_transform_params(self) -> tuple:
        """Centre and scale of the window as the parent class measures them."""
        shift, scale, rotation, shear = super()._get_transform_params()
        picture, window = self._picture, np.array(self.input_size, float)
        # window pixels for one of the picture
        factor = (self.picture_size / picture).min()
        if self._box is None:
            center = np.random.rand(2) * picture  # noqa: NPY002
        else:
            low, high = np.split(self._box, 2)
            center = (low + high) / 2
            extent = self.padding * np.maximum(high - low, 1)
            factor = min(factor, (window / extent).min())
        view = window / (factor * float(scale[0]))
        offset = (center + shift * view) / picture - 0.5
        # the parent extends the picture to the window's ratio, then scales it
        whole = max(picture[0], picture[1] * window[0] / window[1])
        return offset, np.array([view[0] / whole]), rotation, shear
