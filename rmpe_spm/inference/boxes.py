"""Where the boxes of a top-down model come from."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from ..cli.preflight import check_weights
from ..coco.results import read_detections
from ..errors import ConfigError
from ..poses import bboxes_around
from .inputs import Picture
from .streaming import read_ahead, run_batches

Boxed = tuple[Picture, np.ndarray, np.ndarray]


# What puts boxes to a stream of pictures.
BoxSource = Callable[[Iterable[Picture]], Iterator[Boxed]]


class GivenBoxes:
    """Boxes that the caller gives, one array a picture.

    Args:
        bboxes: An array (N, 4) in xyxy, or (N, 5) with scores, of the one
            picture; or a sequence of them in the order of the inputs, where
            pictures that cannot be read count.
        ahead (int): How many pictures to read ahead.
    """

    def __init__(self, bboxes: Sequence, ahead: int) -> None:
        rows = (
            [bboxes] if not len(bboxes) or np.ndim(bboxes[0]) == 1 else bboxes
        )
        self._boxes = []
        for index, each in enumerate(rows):
            array = np.asarray(each, dtype=np.float32)
            array = array if array.size else array.reshape(0, 4)
            if array.ndim != 2 or array.shape[1] not in (4, 5):
                raise ConfigError(
                    f'bboxes of picture {index} have the shape {array.shape}: '
                    'give (N, 4) in xyxy, or (N, 5) with scores'
                )
            self._boxes.append(array)
        self._ahead = ahead

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with its boxes."""
        for picture in read_ahead(pictures, self._ahead):
            if picture.index >= len(self._boxes):
                raise ConfigError(
                    f'bboxes has boxes of {len(self._boxes)} pictures, but '
                    f'none of {picture}: give one array a picture'
                )
            boxes = self._boxes[picture.index]
            scores = np.ones(len(boxes), np.float32)
            if boxes.shape[1] == 5:
                scores = boxes[:, 4]
            yield clean_boxes(picture, boxes[:, :4], scores)


class DetectionsFile:
    """Boxes of a file in COCO's results layout.

    Detections belong to a picture whose name is their ``file_name``, where
    they have one (and ``frame``, for a video), or whose name without its
    suffix is their ``image_id``, as COCO names its pictures.

    Args:
        path (str | Path): The JSON file.
        score_thr (float): Boxes below it are not used.
        ahead (int): How many pictures to read ahead.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It is of another layout.
    """

    def __init__(self, path: str | Path, score_thr: float, ahead: int) -> None:
        self._path, self._ahead = path, ahead
        found = defaultdict(list)
        for entry in read_detections(path):
            if entry['score'] >= score_thr:
                x, y, w, h = entry['bbox'][:4]
                key = entry['image_id']
                if 'file_name' in entry:
                    name = Path(entry['file_name']).name
                    key = name, entry.get('frame')
                found[key].append((x, y, x + w, y + h, entry['score']))
        self._boxes = {k: np.float32(v) for k, v in found.items()}
        self._by_name = any(isinstance(key, tuple) for key in found)

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with its boxes."""
        for picture in read_ahead(pictures, self._ahead):
            path = Path(picture.name)
            if self._by_name:
                key = path.name, picture.frame
            elif path.stem.isdecimal() and picture.frame is None:
                key = int(path.stem)
            else:
                raise ConfigError(
                    f'{self._path} names pictures by image_id, and '
                    f'{picture} is no number: add file_name (and '
                    'frame, for a video) to the detections'
                )
            boxes = self._boxes.get(key, np.zeros((0, 5), np.float32))
            yield clean_boxes(picture, boxes[:, :4], boxes[:, 4])


class MMDetDetector:
    """People that a detector of mmdet's finds.

    Args:
        config (str | Path | Config): Its config.
        weights (str | None): Its checkpoint.
        device (str): Where it runs.
        score_thr (float): Boxes below it are not used.
        batch_size (int): Pictures of one size that go together.

    Raises:
        ConfigError: The weights don't fit, or it knows no people.
    """

    def __init__(
        self,
        config: str | Path | Config,
        weights: str | None,
        device: str,
        score_thr: float,
        batch_size: int,
    ) -> None:
        from mmdet.apis import init_detector
        from mmdet.utils import get_test_pipeline_cfg

        with DefaultScope.overwrite_default_scope('mmdet'):
            # without cfg_options it looks for model.backbone
            self.model = init_detector(
                config,
                weights and str(weights),
                'coco',
                device,
                cfg_options={},
            )
            steps = get_test_pipeline_cfg(self.model.cfg.copy())
            steps[0].type = 'mmdet.LoadImageFromNDArray'
            self._pipeline = Compose(steps)
        if weights is not None:
            check_weights(self.model, str(weights))
        classes = self.model.dataset_meta['classes']
        classes = [classes] if isinstance(classes, str) else list(classes)
        if 'person' not in classes and len(classes) > 1:
            raise ConfigError(
                f'the detector of {config} knows no class person, but '
                f'{", ".join(classes[:5])}...: give one that does'
            )
        self._label = classes.index('person') if len(classes) > 1 else 0
        self._score_thr, self._batch_size = score_thr, batch_size

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with its boxes."""
        items = ((each, [self._prepare(each)]) for each in pictures)
        found = run_batches(
            read_ahead(items, 2 * self._batch_size),
            self._forward,
            lambda sample: sample['inputs'].shape,
            self._batch_size,
        )
        for picture, (people,) in found:
            people = people.pred_instances.cpu().numpy()
            kept = people.labels == self._label
            kept &= people.scores >= self._score_thr
            yield clean_boxes(
                picture, people.bboxes[kept], people.scores[kept]
            )

    def _prepare(self, picture: Picture) -> dict:
        return self._pipeline(dict(img=picture.image, img_id=picture.index))

    @torch.no_grad()
    def _forward(self, samples: list[dict]) -> list:
        with DefaultScope.overwrite_default_scope('mmdet'):
            return self.model.test_step(pseudo_collate(samples))


class PosesAsBoxes:
    """Boxes around the poses of another model, which proposes people.

    Args:
        inferencer (PoseInferencer): The other model.
        scale (float): Width and height of the box over those of the joints'
            extents: a body reaches further than its joints.
    """

    def __init__(self, inferencer: Any, scale: float = 1.25) -> None:
        self._inferencer, self._scale = inferencer, scale

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Boxed]:
        """Yield each picture with its boxes."""
        for picture, result in self._inferencer.with_pictures(pictures):
            boxes = bboxes_around(result.keypoints, result.keypoint_scores)
            centers = (boxes[:, :2] + boxes[:, 2:]) / 2
            halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * self._scale
            halves = np.maximum(halves, 0.5)  # of joints on one line
            boxes = np.concatenate((centers - halves, centers + halves), 1)
            yield clean_boxes(picture, boxes, result.scores)


def clean_boxes(
    picture: Picture, bboxes_xyxy: np.ndarray, scores: np.ndarray
) -> Boxed:
    """Leave out boxes in which there can be nobody, and say so.

    Args:
        picture (Picture): The picture.
        bboxes_xyxy (np.ndarray): Boxes (N, 4), in pixels.
        scores (np.ndarray): Their scores (N,).

    Returns:
        tuple: The picture, its boxes (M, 4) and their scores (M,), without
        those that are not finite, have no area or lie outside the picture.
    """
    low, high = bboxes_xyxy[:, :2], bboxes_xyxy[:, 2:]
    good = np.isfinite(bboxes_xyxy).all(1) & np.isfinite(scores)
    good &= (high > low).all(1)
    good &= (high > 0).all(1) & (low < picture.size).all(1)
    if not good.all():
        first = np.flatnonzero(~good)[0]
        print_log(
            f'{picture}: {(~good).sum()} of {len(good)} boxes are '
            'left out, for they are not finite, empty or outside the picture '
            f'(the first: {bboxes_xyxy[first].tolist()})',
            logger='current',
            level=logging.WARNING,
        )
    return picture, bboxes_xyxy[good], scores[good]
