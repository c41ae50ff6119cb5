"""What both shipped models do inside, on one picture."""

from copy import copy, deepcopy
from dataclasses import dataclass

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.structures.utils import revert_heatmap

from ..pose_nms.parametric import ParametricPoseNMS
from .base import Poses
from .drawing import PoseDrawer
from .inferencer import PoseInferencer
from .inputs import Picture
from .models import find_model
from .stn_drawing import draw_stn, mosaic

MAX_CROPS = 6
YELLOW = (0, 220, 255)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method finds in a picture, before the pose NMS.

    ``inside`` is SPM's root map over the picture, or the crops before and
    after RMPE's STN in the best boxes; BGR.
    """

    method: str
    picture: Picture
    poses: Poses
    inside: np.ndarray | None


class Demonstration:
    """Both shipped models, RMPE's with a transformer before it."""

    def __init__(self, device: str | None = None) -> None:
        spm = PoseInferencer('spm', device=device, score_thr=0.01)
        # what its sizes find twice is left to the page's pose NMS
        spm.model.test_cfg.nms.thr = 1.0
        shipped = find_model('rmpe')
        rmpe = PoseInferencer(
            config=with_second_look(shipped.config),
            weights=shipped.weights,
            device=device,
            boxes_from=spm,
        )
        self._inferencers = dict(rmpe=rmpe, spm=spm)

    def predict(self, method: str, picture: Picture) -> Prediction:
        """Find the people of a picture by ``'rmpe'`` or ``'spm'``."""
        model = self._inferencers[method]
        if method == 'spm':
            maps: list[np.ndarray] = []  # one of each size
            hook = model.model.head.stages[-1].register_forward_hook(
                lambda *call: maps.append(call[-1][0][0, -1].cpu().numpy())
            )
            outputs = model._forward([model.prepare(picture)])
            hook.remove()
            inside = _draw_roots(picture, maps, outputs[0].metainfo)
        else:
            ((_, boxes, scores),) = model.box_source([picture])
            samples = [
                model.prepare(picture, *each)
                for each in zip(boxes, scores, strict=True)
            ]
            ((_, outputs),) = model._run([(picture, samples)])
            best = np.argsort(-scores, kind='stable')[:MAX_CROPS]
            crops = [draw_stn(model.model, samples[i]) for i in best]
            inside = mosaic(crops, min(2, len(crops))) if crops else None
        return Prediction(method, picture, model._poses(outputs), inside)

    def draw(
        self, prediction: Prediction, eta: float, score_thr: float
    ) -> tuple[list[np.ndarray], list[int]]:
        """Draw poses and boxes before and after the pose NMS, and count them.

        The pose NMS, with the threshold ``eta``, runs anew, no network does.
        """
        model = copy(self._inferencers[prediction.method])
        model.score_thr = score_thr
        drawer = PoseDrawer(model.metainfo)
        picture, pictures, counts = prediction.picture, [], []
        for nms in (None, ParametricPoseNMS(preset='learned', eta=eta)):
            model.nms = nms
            result = model._result(picture, prediction.poses)
            drawn = drawer.draw(picture.image, result)
            for box in result.bboxes_xyxy:
                low, high = box.round().astype(int).reshape(2, 2).tolist()
                cv2.rectangle(drawn, low, high, YELLOW, 2)
            pictures.append(drawn)
            counts.append(len(result))
        return pictures, counts


def _draw_roots(
    picture: Picture, maps: list[np.ndarray], meta: dict
) -> np.ndarray:
    """Lay the highest of root maps (H, W) over the picture, BGR."""
    scales = [meta['input_scale'], *meta.get('aug_input_scales', [])]
    roots = [
        revert_heatmap(
            own,
            np.asarray(meta['input_center']),
            np.asarray(scale),
            picture.image.shape[:2],
        )
        for own, scale in zip(maps, scales, strict=True)
    ]
    colours = cv2.applyColorMap(
        np.uint8(255 * np.max(roots, axis=0).clip(0, 1)), cv2.COLORMAP_INFERNO
    )
    return cv2.addWeighted(picture.image, 0.4, colours, 1, 0)


def with_second_look(config: Config) -> Config:
    """Put RMPE's transformer before a top-down model, without a training.

    The model itself is the localizer (:class:`~rmpe_spm.SecondLook`), and
    sees 1.6 times the crop at five sixths of its size at the most, in whole
    cells of its coarsest features.
    """
    config = deepcopy(config)
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'TopdownAffine':
            step.update(type='TopdownContextAffine', context=1.6)
            size = step.input_size
    config.model = dict(
        type='ParallelSPPE',
        sppe=config.model,
        localizer=dict(type='SecondLook'),
        localizer_size=tuple(n * 5 // 6 // 32 * 32 for n in size),
        sstn=dict(type='SSTNHead', in_channels=None, transform='scale_shift'),
        context=1.6,
    )
    return config
