"""Boxes of a detector: of the file that it wrote, or from itself."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from ..cli.preflight import check_weights
from ..coco.results import read_detections
from ..errors import ConfigError
from .base import Boxed, clean_boxes
from .inputs import Picture
from .streaming import read_ahead, run_batches


class DetectionsFile:
    """Boxes, from a score up, of a file in COCO's results layout.

    Detections belong to a picture whose name is their ``file_name``, where
    they have one (and ``frame``, for a video), or whose name without its
    suffix is their ``image_id``, as COCO names its pictures.
    """

    def __init__(self, path: str | Path, score_thr: float) -> None:
        self._path = path
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
        for picture in read_ahead(pictures):
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
    """People that a detector of mmdet's finds, from a score up.

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
            read_ahead(items),
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
