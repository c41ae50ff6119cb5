"""COCO evaluation with any pose NMS."""

import copy
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.fileio import dump, get_local_path, put_text
from mmengine.logging import print_log
from mmpose.evaluation.functional import oks_nms, soft_oks_nms
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS, TASK_UTILS
from xtcocotools.coco import COCO

from ..files import read_json
from ..poses import bboxes_around, clean_scores
from .annotations import KeypointAnnotations
from .evaluation import evaluate_keypoints
from .results import check_results, check_scored

_MMPOSE_NMS = dict(oks_nms=oks_nms, soft_oks_nms=soft_oks_nms, none=None)


@METRICS.register_module()
class PoseNMSCocoMetric(CocoMetric):
    """mmpose's ``CocoMetric``, faster, with any pose NMS of the registry.

    The numbers are those of ``CocoMetric``.
    What can't be evaluated (results for unknown images, NaN, joints of
    another skeleton, annotations without areas, duplicate ids) is an error
    that names the first such entry. Predictions are of the category of the
    annotated people, whatever its id.

    Each image's poses are scored as ``score_mode`` says, then pass the NMS;
    what it returns, with merged poses and lowered scores, is evaluated and
    written to the results file. A pose that was merged gets its score by the
    same formula from its new joint scores and the box score of the pose that
    was kept:

    - ``'bbox'``: the box score b
    - ``'keypoint'``: mean of the joint scores c
    - ``'bbox_keypoint'``: b times the mean of all c > ``keypoint_score_thr``
    - ``'bbox_rle'``: b + mean of c + max of c

    Args:
        ann_file (str | KeypointAnnotations, optional): The annotations: a
            file, or what was read from one. Defaults to None: those of the
            samples, as in ``CocoMetric``.
        nms (dict, optional): Config of the NMS, for example
            ``dict(type='ParametricPoseNMS', preset='coco')``,
            ``dict(type='OKSNMS', thr=0.9)``, ``dict(type='SoftOKSNMS')`` or
            ``dict(type='NearbyJointsNMS')``. Sigmas, where it needs some,
            are the data set's. Of poses with equal scores the first goes
            first. Defaults to None, no NMS.
        nms_mode (str, optional): In place of ``nms``, mmpose's own NMS:
            ``'oks_nms'``, ``'soft_oks_nms'`` or ``'none'``, with the numbers
            of ``CocoMetric`` to the last digit (of poses with equal scores
            mostly the last goes first). Defaults to None.
        nms_thr (float, optional): Of ``nms_mode``. Defaults to None: 0.9,
            mmpose's.
        **kwargs: Other arguments of ``mmpose.evaluation.CocoMetric``.

    Raises:
        ValueError: If the NMS is given twice or the annotations can't be
            evaluated.
    """

    def __init__(
        self,
        ann_file: str | KeypointAnnotations | None = None,
        nms: dict | None = None,
        nms_mode: str | None = None,
        nms_thr: float | None = None,
        **kwargs: Any,
    ) -> None:
        _check_nms(nms, nms_mode, nms_thr)
        # mmpose's would open the file twice, and suppress before any check
        super().__init__(ann_file=None, nms_mode='none', **kwargs)
        self.nms = None if nms is None else TASK_UTILS.build(nms)
        self.uses_own_sigmas = getattr(self.nms, 'sigmas', 0) is not None
        self.mmpose_nms = _MMPOSE_NMS[nms_mode or 'none']
        self.nms_thr = 0.9 if nms_thr is None else nms_thr
        if ann_file is None:
            return
        annotations = ann_file
        if not isinstance(annotations, KeypointAnnotations):
            annotations = KeypointAnnotations.read(ann_file)
        annotations.find_person_category()
        if not self.format_only:
            # before the model has seen all the images
            annotations.require('categories')
            annotations.check_evaluation(None, self.use_area, self.iou_type)
        self.ann_file = annotations.source
        self.coco = COCO(annotations.source, ann_data=annotations.content)

    def process(
        self, data_batch: Sequence[dict], data_samples: Sequence[dict]
    ) -> None:
        """Take the predictions of a batch, as ``CocoMetric`` does.

        Raises:
            ValueError: If an image's predictions have joints of another
                skeleton.
        """
        needed = self.dataset_meta['num_keypoints']
        converted = (self.pred_converter or {}).get('num_keypoints')
        for sample in data_samples:
            poses = sample.get('pred_instances', {}).get('keypoints', ())
            if len(poses) == 0:
                continue
            joints = converted or poses.shape[1]
            if joints != needed:
                raise ValueError(
                    f'the predictions for image {sample["img_id"]} have '
                    f'{joints} joints, but the data set has {needed}: '
                    'convert them with pred_converter, or evaluate on the '
                    'data set that the model was trained for'
                )
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the numbers by name from what :meth:`process` collected.

        Raises:
            ValueError: Names the first sample that came twice.
        """
        _check_unique([prediction for prediction, _ in results])
        annotations = self.coco
        if self.gt_converter is not None and annotations is not None:
            # CocoMetric converts in place, once more at each evaluation
            self.coco = copy.deepcopy(annotations)
        try:
            return super().compute_metrics(results)
        finally:
            if self.gt_converter is not None:
                self.coco = annotations

    def results2json(
        self, keypoints: dict[int, list], outfile_prefix: str
    ) -> None:
        """Apply the NMS and write ``outfile_prefix`` + ``.keypoints.json``.

        Raises:
            ConfigError: Names the first pose for an unknown image, or with a
                joint or score that is not finite.
        """
        category = self._annotations().find_person_category()['id']
        results = _as_results(keypoints, category)
        if not results:
            print_log(
                'the model found no pose in any image: all scores will be 0',
                'current',
                level=logging.WARNING,
            )
        else:
            check_results(
                results,
                self.dataset_meta['num_keypoints'],
                self.coco.imgs,
                source='the predictions',
            )
            # an untrained model is no reason to end its training
            check_scored(results, 'the predictions', strict=False)
            results = _as_results(self._suppress(keypoints), category)
        put_text(
            dump(results, file_format='json'),
            f'{outfile_prefix}.keypoints.json',
        )

    def _annotations(self) -> KeypointAnnotations:
        """The annotations, those of the samples too."""
        return KeypointAnnotations(
            self.coco.dataset, self.ann_file or 'the annotations'
        )

    def _do_python_keypoint_eval(
        self, outfile_prefix: str
    ) -> list[tuple[str, float]]:
        """Evaluate the results file: mmpose's hook for the evaluator."""
        annotations = self._annotations()
        annotations.check_evaluation(
            self.dataset_meta['num_keypoints'], self.use_area, self.iou_type
        )
        with get_local_path(f'{outfile_prefix}.keypoints.json') as path:
            results = read_json(path)
        numbers = evaluate_keypoints(
            annotations.content,
            results,
            self.dataset_meta['sigmas'],
            self.iou_type,
            self.use_area,
        )
        return list(numbers.items())

    def _suppress(self, images: dict[int, list[dict]]) -> dict[int, list]:
        """Apply the NMS to the instances of all images, by image id."""
        sigmas = self.dataset_meta['sigmas']
        if self.mmpose_nms is not None:
            return {
                image: [
                    instances[index]
                    for index in self.mmpose_nms(
                        instances, self.nms_thr, sigmas=sigmas
                    )
                ]
                for image, instances in images.items()
            }
        if self.nms is None:
            return images
        if not self.uses_own_sigmas:
            self.nms.sigmas = sigmas
        fields = defaultdict(list)
        for instances in images.values():
            poses = np.stack([each['keypoints'] for each in instances])
            # the persons' scores get the type of the joints'
            poses = poses.astype(np.float64)
            fields['keypoints'].append(poses[..., :2])
            fields['keypoint_scores'].append(poses[..., 2])
            fields['bboxes_xyxy'].append(_boxes(instances, poses))
            for field, name in (('scores', 'score'), ('areas', 'area')):
                values = [float(each[name]) for each in instances]
                fields[field].append(np.array(values))
        kept = defaultdict(list)
        for (image, instances), result in zip(
            images.items(), self.nms.batch(**fields), strict=True
        ):
            for index, points, joint_scores, score in zip(
                result.keep.tolist(),
                result.keypoints,
                result.keypoint_scores,
                result.scores.tolist(),
                strict=True,
            ):
                kept[image].append(
                    self._kept(instances[index], points, joint_scores, score)
                )
        return kept

    def _kept(
        self,
        instance: dict,
        points: np.ndarray,
        joint_scores: np.ndarray,
        score: float,
    ) -> dict:
        """An instance with the joints and scores that the NMS gave it."""
        own = instance['keypoints']
        if np.array_equal(points, own[:, :2]) and np.array_equal(
            joint_scores, clean_scores(own[:, 2])
        ):
            # not merged: negative scores of joints stay
            joint_scores = np.where(
                np.isfinite(own[:, 2]), own[:, 2], joint_scores
            )
        else:
            # a decay of the score stays, whatever the joints become
            merged = _person_score(
                joint_scores,
                float(instance['bbox_score']),
                self.score_mode,
                self.keypoint_score_thr,
            )
            before = float(instance['score'])
            score = merged * (score / before if before else 1.0)
        return {
            **instance,
            'keypoints': np.concatenate([points, joint_scores[:, None]], 1),
            'keypoint_scores': joint_scores,
            'score': score,
        }


def _check_nms(
    nms: dict | None, nms_mode: str | None, nms_thr: float | None
) -> None:
    """Refuse arguments, ours and mmpose's, that choose no NMS, or two."""
    if nms_mode is None and nms_thr is not None:
        raise ValueError(
            f"nms_thr={nms_thr} belongs to nms_mode: add nms_mode='oks_nms', "
            f"or choose the NMS by nms=dict(type='OKSNMS', thr={nms_thr})"
        )
    if nms_mode is not None and nms is not None:
        raise ValueError(
            f'both nms={nms} and nms_mode={nms_mode!r} choose an NMS: leave '
            'one of them out'
        )
    if nms_mode is not None and nms_mode not in _MMPOSE_NMS:
        raise ValueError(
            f'nms_mode must be one of {", ".join(_MMPOSE_NMS)}: {nms_mode!r}'
        )


def _person_score(
    c: np.ndarray, b: float, score_mode: str, keypoint_score_thr: float
) -> float:
    """A person's score from those of the joints and the box, as mmpose's."""
    if score_mode == 'bbox':
        return b
    if score_mode == 'keypoint':
        return float(c.mean())
    if score_mode == 'bbox_rle':
        return float(b + c.mean() + c.max())
    good = c[c > keypoint_score_thr]
    return float(b * good.mean()) if len(good) else 0.0


def _check_unique(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two predictions for a sample; mmpose would drop some."""
    seen = set()
    for each in predictions:
        if len(each['keypoints']) == 0:
            continue
        name = each['id']
        name = tuple(name) if isinstance(name, list) else name
        if (each['img_id'], name) in seen:
            raise ValueError(
                f'image {each["img_id"]}: the predictions for the sample '
                f'{each["id"]} came twice: every person (of a top-down '
                'data set) or image needs an id of its own'
            )
        seen.add((each['img_id'], name))


def _as_results(images: dict[int, list[dict]], category: int) -> list[dict]:
    """Instances as COCO has results, image after image."""
    results = []
    for instance in (each for image in images.values() for each in image):
        result = dict(
            image_id=instance['img_id'],
            category_id=category,
            keypoints=instance['keypoints'].ravel().tolist(),
            score=float(instance['score']),
        )
        if 'bbox' in instance:
            result['bbox'] = instance['bbox'].tolist()
        results.append(result)
    return results


def _boxes(instances: list[dict], poses: np.ndarray) -> np.ndarray:
    """The instances' boxes (N, 4) as xyxy, or the extents of their poses."""
    if 'bbox' in instances[0]:
        boxes = np.array([each['bbox'] for each in instances])
        boxes = boxes.reshape(len(instances), 4).astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]
        return boxes
    return bboxes_around(poses[..., :2], poses[..., 2])
