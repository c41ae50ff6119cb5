"""RMPE in the pipeline: room around the crop, and the centre target."""

from copy import deepcopy
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import (
    GenerateTarget,
    PackPoseInputs,
    TopdownAffine,
)
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import (
    bbox_xyxy2cs,
    flip_bbox,
    get_udp_warp_matrix,
    get_warp_matrix,
)
from mmpose.utils.typing import MultiConfig


def context_size(
    input_size: tuple[int, int], context: float
) -> tuple[int, int]:
    """Return the size (w, h) of a crop with context, symmetric about it."""
    width, height = (n + 2 * round((context - 1) * n / 2) for n in input_size)
    return width, height


def crop_matrix(
    center: np.ndarray, scale: np.ndarray, results: dict, use_udp: bool
) -> np.ndarray:
    """Return the matrix from the image to a crop, as TopdownAffine has it."""
    rotation = results.get('bbox_rotation', np.zeros(1))[0]
    make = get_udp_warp_matrix if use_udp else get_warp_matrix
    return make(center, scale, rotation, output_size=results['input_size'])


@TRANSFORMS.register_module()
class TopdownContextAffine(TopdownAffine):
    """mmpose's TopdownAffine that also shows what is around the crop.

    The image is ``context`` times as large as the SPPE's input and shows as
    many pixels a person: its middle is the crop of :class:`TopdownAffine`.
    All else is that crop's: ``input_size``, ``input_center``,
    ``input_scale`` and ``transformed_keypoints``, and so the targets and the
    predictions. ``ParallelSPPE(context=...)`` cuts the SPPE's input out.

    Required, modified and added keys are those of :class:`TopdownAffine`.

    Args:
        input_size (tuple[int, int]): Size ``(w, h)`` of the SPPE's input.
        use_udp (bool): As in :class:`TopdownAffine`. Defaults to False.
        context (float): The size of the image over the input's, at least 1;
            see :func:`context_size`. Defaults to 1.6.

    Example:
        >>> transform = TopdownContextAffine((192, 256), context=1.6)
        >>> # in the place of dict(type='TopdownAffine', ...) of a config
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        use_udp: bool = False,
        context: float = 1.6,
    ) -> None:
        super().__init__(input_size, use_udp)
        self.context = context

    def transform(self, results: dict) -> dict:
        """Crop with context, and move keypoints to the crop without it."""
        image = results['img']
        results['img'] = []  # nothing to warp for the plain transform
        results = super().transform(results)
        center, scale = results['input_center'], results['input_scale']
        matrix = crop_matrix(center, scale, results, self.use_udp)
        size = context_size(self.input_size, self.context)
        for axis in range(2):
            matrix[axis, 2] += (size[axis] - self.input_size[axis]) // 2
        results['img'] = cv2.warpAffine(
            image, matrix, size, flags=cv2.INTER_LINEAR
        )
        return results


TARGET_PREFIX = 'center_'
THETA = 'center_theta'
KEYPOINTS = 'center_keypoints'


@TRANSFORMS.register_module()
class GenerateCenterTarget(BaseTransform):
    """Encode the pose in the frame of the clean box, as in `RMPE`_.

    The centre-located target supervises the parallel branch of
    :class:`ParallelSPPE`. It shows the same joints as the main target, in
    the crop that the clean box would have given: with the box's padding and
    the input's aspect ratio, and with the flip and the rotation of the
    actual crop, since only the proposal's offsets are to be undone.

    A random patch has itself as clean box (:class:`PGPGTransform`), so its
    centre-located target asks for no change. A half-body crop has not, and
    would ask to see the whole body: leave :class:`RandomHalfBody` out. What
    :class:`RandomBBoxTransform` shifts and scales is an error of the box to
    be undone, as the proposal's; what it turns is not.

    Required Keys: clean_bbox (:class:`PGPGTransform`), keypoints,
    keypoints_visible, img_shape, input_size, input_center and input_scale
    (:class:`TopdownAffine`); flip, flip_direction and bbox_rotation if there.

    Added Keys:

        - the encoder's with the prefix ``center_``, for example
          ``center_heatmaps`` and ``center_keypoint_weights``
        - ``center_keypoints`` (1, K, 2), float32: the joints in pixels of
          that frame
        - ``center_theta`` (1, 2, 3), float32: the transform that the STN is
          to find, from the clean box's frame to the crop (:class:`SSTNHead`)

    The last two are repeated for each level of a ``multilevel`` target.

    ``PackPoseInputs`` packs them under the same names.

    Args:
        encoder (dict | list[dict]): The codec of :class:`GenerateTarget`.
        padding (float): That of :class:`GetBBoxCenterScale`. Defaults to
            1.25.
        use_udp (bool): As in :class:`TopdownAffine`. Defaults to False.
        **kwargs: Others of :class:`GenerateTarget`, such as ``multilevel``.

    Example:
        >>> codec = dict(type='SimCCLabel', input_size=(192, 256))
        >>> end_of_train_pipeline = [
        ...     dict(type='GenerateTarget', encoder=codec),
        ...     dict(type='GenerateCenterTarget', encoder=codec),
        ...     dict(type='PackPoseInputs'),
        ... ]

    .. _`RMPE`: https://arxiv.org/abs/1612.00137
    """

    def __init__(
        self,
        encoder: MultiConfig,
        padding: float = 1.25,
        use_udp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.use_udp = use_udp
        self.generate = GenerateTarget(encoder=deepcopy(encoder), **kwargs)

    def transform(self, results: dict) -> dict:
        """Add the centre-located target.

        Raises:
            KeyError: If the clean box, the crop or the main target is
                missing.
        """
        for key, maker in (
            ('clean_bbox', 'PGPGTransform'),
            ('input_size', 'TopdownAffine'),
            ('label_mapping_table', 'GenerateTarget'),
        ):
            if key not in results:
                raise KeyError(
                    f'GenerateCenterTarget needs {key!r}, which {maker} '
                    f'adds: put {maker} before it in the pipeline (image '
                    f'{results.get("img_path")})'
                )
        to_center = self._center_warp(results)
        center, scale = results['input_center'], results['input_scale']
        to_crop = crop_matrix(center, scale, results, self.use_udp)
        keypoints = results['keypoints'].copy()
        keypoints[..., :2] = cv2.transform(keypoints[..., :2], to_center)
        encoded = self.generate.transform(
            {**results, 'transformed_keypoints': keypoints}
        )
        codec = self.generate.encoder
        codecs = codec if isinstance(codec, list) else [codec]
        for table in ('field_mapping_table', 'label_mapping_table'):
            keys = {k: v for c in codecs for k, v in getattr(c, table).items()}
            added = {
                TARGET_PREFIX + k: TARGET_PREFIX + v for k, v in keys.items()
            }
            for key in keys:
                if key in encoded:
                    results[TARGET_PREFIX + key] = encoded[key]
            # The table may be an attribute of the codec's class: copy it.
            old = results.get(table, getattr(PackPoseInputs, table))
            results[table] = {**old, **added}
        # labels that are packed together have one length
        levels = len(codecs) if self.generate.multilevel else 1
        theta = theta_between(to_center, to_crop, results['input_size'])
        results[THETA] = theta[None].repeat(levels, axis=0)
        joints = keypoints[:1, :, :2].astype(np.float32)
        results[KEYPOINTS] = joints.repeat(levels, axis=0)
        for key in (THETA, KEYPOINTS):
            results['label_mapping_table'][key] = key
        return results

    def _center_warp(self, results: dict) -> np.ndarray:
        """Return the matrix from the (flipped) image to the centre frame."""
        bbox = np.array(results['clean_bbox'], np.float32).reshape(1, 4)
        w, h = results['input_size']
        center, scale = bbox_xyxy2cs(bbox, padding=self.padding)
        if results.get('flip', False):
            center = flip_bbox(
                center,
                image_size=results['img_shape'][1::-1],
                bbox_format='center',
                direction=results['flip_direction'],
            )
        scale = TopdownAffine._fix_aspect_ratio(scale, aspect_ratio=w / h)
        return crop_matrix(center[0], scale[0], results, self.use_udp)


def theta_between(
    to_target: np.ndarray, to_source: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the theta (2, 3) from one crop to another of a size (w, h).

    ``to_target`` and ``to_source`` are matrices (2, 3) from the image to the
    pixels of the crop that the STN is to give, and to those of its input.
    """
    to_target, to_source = (
        np.vstack((matrix, (0, 0, 1))) for matrix in (to_target, to_source)
    )
    # pixel = (normalised + 1) / 2 * (w - 1)
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    to_pixels = np.array([[x, 0, x], [0, y, y], [0, 0, 1]])
    theta = np.linalg.solve(
        to_pixels, to_source @ np.linalg.solve(to_target, to_pixels)
    )
    return theta[:2].astype(np.float32)
