"""PGPGTransform: the boxes that a detector might have given, in training."""

import warnings
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.registry import TRANSFORMS

from ..poses import visibility_flags
from .pgpg_model import OffsetModel, load_proposal_model
from .proposals import (
    Box,
    bbox_iou,
    clip_bbox,
    is_usable_bbox,
    offset_bbox,
    patch_bbox,
)

# Everybody's offsets of x0, y0, x1, y1: an SSD detector's on MPII and COCO
# (2016), as published with AlphaPose.
GLOBAL_GAUSSIANS = OffsetModel.gaussian(
    mean=[-0.0142, 0.0043, 0.0154, -0.0013],
    std=[0.1158, 0.068, 0.1337, 0.0711],
)

# The share of random patches with which each mode was published.
PATCH_PROBS = {
    'gmm_atomic': 0.0,
    'gaussian_atomic': 0.3,
    'global_gaussian': 0.15,
    'jitter': 0.0,
}
ATOMIC_MODES = ('gmm_atomic', 'gaussian_atomic')
MIN_PATCH_SCALE = 0.7
JITTER_TRIES = 20


@TRANSFORMS.register_module()
class PGPGTransform(BaseTransform):
    r"""Replace the annotated box by a proposal, as a detector might give it.

    The pose-guided proposals generator of RMPE_ (section 3.3). The offsets
    of the four sides, in units of the annotated box's width or height
    (:mod:`.proposals`), are drawn by ``mode``:

    - ``'gmm_atomic'``: the paper's: from the mixtures of Gaussians, one a
      side, fitted for the atom (atomic pose) nearest to the annotated pose
    - ``'gaussian_atomic'``: the authors' released variant: from one Gaussian
      a side of that atom, and random patches
    - ``'global_gaussian'``: from one Gaussian a side for every pose with
      AlphaPose's published constants, and random patches
    - ``'jitter'``: the paper's baseline: uniform in ``+-jitter_range``,
      drawn again while the IoU of both boxes in the image is below
      ``min_iou``; after 20 draws the annotated box stays

    A random patch is a part of the annotated box with its aspect ratio and
    0.7 to 1 of its size. The box is then moved into the image (``[0, w - 1]
    x [0, h - 1]``, as mmpose's data sets clip it) and given at least
    ``min_side`` pixels a side.

    It belongs into a training pipeline, before ``GetBBoxCenterScale`` and
    ``RandomFlip``, and draws from numpy's global random state. An instance
    whose annotated box is not finite, empty or outside the image is skipped
    (the data set takes another one), with a warning for the first.

    Required Keys: bbox (1, 4), xyxy in pixels, and img_shape (h, w); in the
    atomic modes keypoints (1, K, 2) and keypoints_visible (1, K).

    Modified Keys: bbox; bbox_center and bbox_scale, which follow from it,
    are removed.

    Added Keys:

        - clean_bbox (1, 4), float32, xyxy in pixels of the image before any
          flip: the untouched box; for a random patch the patch itself, where
          the authors disable the parallel branch
        - proposal_kind: ``'gaussian'``, ``'patch'``, ``'jitter'``, or
          ``'clean'`` where the box was left alone

    Args:
        mode (str): How boxes are drawn. Defaults to 'gmm_atomic'.
        model (str, optional): The file that ``tools/fit_pgpg.py`` fitted,
            for the atomic modes only. A relative path is sought from the
            working folder, then from the root of this checkout. Defaults to
            None.
        prob (float): The probability that a box is changed at all. Defaults
            to 1.0.
        patch_prob (float, optional): The share of random patches among the
            changed boxes. None is the mode's published one: 0.3 for
            'gaussian_atomic', 0.15 for 'global_gaussian', otherwise 0.
            Defaults to None.
        min_side (float): The smallest width and height in pixels. Defaults
            to 5.0.
        jitter_range (float): The largest offset of 'jitter'. Defaults to
            0.3.
        min_iou (float): The smallest IoU of 'jitter'. Defaults to 0.5.

    Example:
        >>> np.random.seed(0)
        >>> transform = PGPGTransform('global_gaussian')
        >>> bbox = np.array([[10.0, 20, 110, 220]])
        >>> results = transform(dict(bbox=bbox, img_shape=(480, 640)))
        >>> results['proposal_kind'], results['bbox'].shape
        ('gaussian', (1, 4))

    .. _RMPE: https://arxiv.org/abs/1612.00137
    """

    def __init__(
        self,
        mode: str = 'gmm_atomic',
        model: str | None = None,
        *,
        prob: float = 1.0,
        patch_prob: float | None = None,
        min_side: float = 5.0,
        jitter_range: float = 0.3,
        min_iou: float = 0.5,
    ) -> None:
        super().__init__()
        if mode not in PATCH_PROBS:
            raise ValueError(
                f'PGPGTransform: mode={mode!r} is none of {list(PATCH_PROBS)}'
            )
        if (mode in ATOMIC_MODES) != (model is not None):
            raise ValueError(
                f'PGPGTransform: mode={mode!r} does not go with '
                f'model={model!r}: {" and ".join(ATOMIC_MODES)} need a fitted '
                'file (configs/rmpe/_base_/pgpg has some, tools/fit_pgpg.py '
                'fits one to your detector), the other modes use none'
            )
        self.mode = mode
        self.model = model
        self.prob = prob
        if patch_prob is None:
            patch_prob = PATCH_PROBS[mode]
        self.patch_prob = patch_prob
        self.min_side = min_side
        self.jitter_range = jitter_range
        self.min_iou = min_iou
        for name in ('prob', 'patch_prob', 'min_iou'):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(
                    f'PGPGTransform: {name}={value} is not in [0, 1]'
                )
        for name in ('min_side', 'jitter_range'):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(
                    f'PGPGTransform: {name}={value} is not positive'
                )
        self._proposal_model = (
            None if model is None else load_proposal_model(find_model(model))
        )
        self._warned = False

    def transform(self, results: dict) -> dict | None:
        """Change ``bbox`` and keep the clean one.

        Returns None for an instance whose box is not finite, empty or
        outside the image.

        Raises:
            ValueError: If there is not exactly one box, the sample is
                mirrored already, or the number of keypoints is not that of
                the fitted file.
        """
        bbox = np.asarray(results['bbox'], dtype=np.float32)
        if bbox.shape != (1, 4):
            raise ValueError(
                'PGPGTransform is for top-down pipelines, with one box a '
                f"sample: results['bbox'] of image {results.get('img_id')} "
                f'has shape {bbox.shape} and not (1, 4)'
            )
        if results.get('flip'):
            raise ValueError(
                'PGPGTransform: the sample is mirrored already, and the clean '
                'box would be mirrored again for the centre-located target: '
                'put RandomFlip after PGPGTransform in the pipeline'
            )
        clean = tuple(bbox[0].tolist())
        image_size = results['img_shape'][1], results['img_shape'][0]
        if not is_usable_bbox(clean, image_size):
            if not self._warned:
                warnings.warn(
                    f'PGPGTransform: the box {clean} (xyxy) of annotation '
                    f'{results.get("id")} in image {results.get("img_id")} is '
                    'not finite, empty or outside the image. The instance is '
                    'skipped, and so are others like it without a word: mend '
                    'the annotations to use them.'
                )
            self._warned = True
            return None
        offsets = GLOBAL_GAUSSIANS
        if self._proposal_model is not None:
            offsets = self._offsets_of_atom(results)
        proposal, kind = self._propose(clean, image_size, offsets)
        results['clean_bbox'] = bbox.copy()
        if kind != 'clean':
            results['bbox'] = np.array([proposal], dtype=np.float32)
            # MPII gives the box in this form too, which would come first.
            results.pop('bbox_center', None)
            results.pop('bbox_scale', None)
        if kind == 'patch':
            results['clean_bbox'] = results['bbox'].copy()
        results['proposal_kind'] = kind
        return results

    def _offsets_of_atom(self, results: dict) -> OffsetModel:
        keypoints = results['keypoints'][0]
        num_expected = len(self._proposal_model.keypoint_names)
        if len(keypoints) != num_expected:
            raise ValueError(
                f'PGPGTransform: image {results.get("img_id")} has poses of '
                f'{len(keypoints)} keypoints, the fitted file {self.model} '
                f'is for {num_expected}; fit one for this data set with '
                'tools/fit_pgpg.py.'
            )
        (flags,) = visibility_flags(results['keypoints_visible'])
        return self._proposal_model.offsets_of(keypoints, flags > 0)

    @cache_randomness
    def _propose(
        self, bbox_xyxy: Box, image_size: tuple[int, int], offsets: OffsetModel
    ) -> tuple[Box, str]:
        if self.prob < 1 and np.random.rand() >= self.prob:  # noqa: NPY002
            return bbox_xyxy, 'clean'
        # Drawn together, since a call costs more than the numbers.
        uniform = np.random.rand(4).tolist()  # noqa: NPY002
        if uniform[0] < self.patch_prob:
            scale = MIN_PATCH_SCALE + (1 - MIN_PATCH_SCALE) * uniform[1]
            patch = patch_bbox(bbox_xyxy, scale, uniform[2:])
            return clip_bbox(patch, image_size, self.min_side), 'patch'
        if self.mode == 'jitter':
            return self._jitter(bbox_xyxy, image_size), 'jitter'
        normal = np.random.standard_normal(4).tolist()  # noqa: NPY002
        if self.mode == 'gmm_atomic':
            uniform = np.random.rand(4).tolist()  # noqa: NPY002
            drawn = offsets.mixture_offsets(uniform, normal)
        else:
            drawn = offsets.gaussian_offsets(normal)
        moved = offset_bbox(bbox_xyxy, drawn)
        return clip_bbox(moved, image_size, self.min_side), 'gaussian'

    def _jitter(self, bbox_xyxy: Box, image_size: tuple[int, int]) -> Box:
        in_image = clip_bbox(bbox_xyxy, image_size, self.min_side)
        for _ in range(JITTER_TRIES):
            uniform = np.random.rand(4).tolist()  # noqa: NPY002
            drawn = [self.jitter_range * (2 * value - 1) for value in uniform]
            moved = clip_bbox(
                offset_bbox(bbox_xyxy, drawn), image_size, self.min_side
            )
            if bbox_iou(moved, in_image) >= self.min_iou:
                return moved
        return in_image


def find_model(path: str) -> Path:
    """Find a fitted file, by its path or by that in this checkout."""
    if Path(path).is_file():
        return Path(path)
    in_checkout = Path(__file__).resolve().parents[2] / path
    return in_checkout if in_checkout.is_file() else Path(path)
