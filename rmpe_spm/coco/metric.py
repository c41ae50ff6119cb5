"""COCO evaluation with any pose NMS."""

import copy
import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.fileio import dump, load, put_text
from mmengine.logging import print_log
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS, TASK_UTILS

from ..poses import bboxes_around, clean_scores
from .evaluation import evaluate_keypoints
from .result_checks import (
    IOU_TYPES,
    LISTS,
    check_annotations,
    check_layout,
    check_results,
    check_sample,
    check_scored,
    check_unique,
)

# b: box score, c: joint scores, thr: keypoint_score_thr of the metric
SCORE_FORMULAS = {
    'bbox': 'b',
    'keypoint': 'mean(c)',
    'bbox_keypoint': 'b * mean(c[c > thr])',
    'bbox_rle': 'b + mean(c) + max(c)',
}


def person_score(
    keypoint_scores: np.ndarray,
    bbox_score: float,
    score_mode: str,
    keypoint_score_thr: float,
) -> float:
    """A person's score, by the formulas of mmpose's ``CocoMetric``.

    Args:
        keypoint_scores (np.ndarray): Scores c (K,) of the joints.
        bbox_score (float): Score b of the box.
        score_mode (str): One of :data:`SCORE_FORMULAS`.
        keypoint_score_thr (float): Of ``'bbox_keypoint'``, whose mean is 0
            where no joint has a higher score.

    Returns:
        float: The score.

    Raises:
        ValueError: If there is no such ``score_mode``.
    """
    if score_mode == 'bbox':
        return bbox_score
    if score_mode == 'keypoint':
        return float(keypoint_scores.mean())
    if score_mode == 'bbox_rle':
        return float(
            bbox_score + keypoint_scores.mean() + keypoint_scores.max()
        )
    if score_mode != 'bbox_keypoint':
        raise ValueError(
            f'score_mode must be one of {", ".join(SCORE_FORMULAS)}: '
            f'{score_mode!r}'
        )
    good = keypoint_scores[keypoint_scores > keypoint_score_thr]
    return float(bbox_score * good.mean()) if len(good) else 0.0


def choose_nms(
    nms: dict | None, nms_mode: str | None, nms_thr: float | None
) -> dict | None:
    """The NMS that a metric's arguments, ours or mmpose's, ask for.

    Args:
        nms (dict, optional): Config of an NMS of the registry.
        nms_mode (str, optional): ``'oks_nms'``, ``'soft_oks_nms'`` or
            ``'none'``, in its place.
        nms_thr (float, optional): Of ``nms_mode``; None stands for 0.9.

    Returns:
        dict | None: The config, None for no NMS.

    Raises:
        ValueError: If both are given, or ``nms_mode`` is unknown, or
            ``nms_thr`` comes without it.
    """
    if nms_mode is None:
        if nms_thr is not None:
            raise ValueError(
                f'nms_thr={nms_thr} belongs to nms_mode: add '
                "nms_mode='oks_nms', or choose the NMS by "
                f"nms=dict(type='OKSNMS', thr={nms_thr})"
            )
        return nms
    if nms is not None:
        raise ValueError(
            f'both nms={nms} and nms_mode={nms_mode!r} choose an NMS: leave '
            'one of them out'
        )
    thr = 0.9 if nms_thr is None else nms_thr
    found = dict(
        oks_nms=dict(type='OKSNMS', thr=thr),
        # mmpose's keeps 20 poses, and the scores as they were
        soft_oks_nms=dict(
            type='SoftOKSNMS',
            sigma=thr,
            min_score=-math.inf,
            max_dets=20,
            keep_scores=True,
        ),
        none=None,
    )
    if nms_mode not in found:
        raise ValueError(
            f'nms_mode must be one of {", ".join(found)}: {nms_mode!r}'
        )
    return found[nms_mode]


@METRICS.register_module()
class PoseNMSCocoMetric(CocoMetric):
    """mmpose's ``CocoMetric``, faster, with any pose NMS of the registry.

    The numbers are those of ``CocoMetric``, computed by faster-coco-eval.
    What can't be evaluated (results for unknown images, NaN, joints of
    another skeleton, annotations without areas, duplicate ids) is an error
    that names the first such entry.

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
        nms (dict, optional): Config of the NMS, for example
            ``dict(type='ParametricPoseNMS', preset='coco')``,
            ``dict(type='OKSNMS', thr=0.9)``, ``dict(type='SoftOKSNMS')`` or
            ``dict(type='NearbyJointsNMS')``. Sigmas, where it needs some,
            are the data set's. Defaults to None, no NMS.
        nms_mode (str, optional): mmpose's name of an NMS in place of
            ``nms``: ``'oks_nms'``, ``'soft_oks_nms'`` or ``'none'``, with
            the numbers of ``CocoMetric``. Defaults to None.
        nms_thr (float, optional): Of ``nms_mode``. Defaults to None: 0.9,
            mmpose's.
        **kwargs: Other arguments of ``mmpose.evaluation.CocoMetric``.

    Raises:
        ValueError: If ``iou_type`` is unknown, the NMS is given twice or
            the annotations can't be evaluated.
    """

    def __init__(
        self,
        nms: dict | None = None,
        nms_mode: str | None = None,
        nms_thr: float | None = None,
        **kwargs: Any,
    ) -> None:
        nms = choose_nms(nms, nms_mode, nms_thr)
        if kwargs.get('ann_file') is not None:
            # before xtcocotools, which says nothing but the key
            needed = LISTS[:1] if kwargs.get('format_only') else LISTS
            path = kwargs['ann_file']
            check_layout(_load(path), needed, str(path))
        super().__init__(nms_mode='none', **kwargs)
        if self.iou_type not in IOU_TYPES:
            raise ValueError(
                f'iou_type must be one of {IOU_TYPES}: {self.iou_type!r}'
            )
        self.nms = None if nms is None else TASK_UTILS.build(nms)
        self.uses_own_sigmas = getattr(self.nms, 'sigmas', 0) is not None
        if self.coco is not None and not self.format_only:
            # before the model has seen all the images
            self.check_annotations()

    def check_annotations(self, num_keypoints: int | None = None) -> None:
        """Check that the annotations can be evaluated.

        Args:
            num_keypoints (int, optional): K. Defaults to None: not checked.

        Raises:
            ValueError: Names the first entry that can't.
        """
        check_annotations(
            self.coco.dataset,
            num_keypoints,
            self.use_area,
            self.iou_type,
            source=self.ann_file or 'the annotations',
        )

    def process(
        self, data_batch: Sequence[dict], data_samples: Sequence[dict]
    ) -> None:
        """Take the predictions of a batch.

        Args:
            data_batch (Sequence[dict]): Not used.
            data_samples (Sequence[dict]): The model's, with ``id``,
                ``img_id`` and ``pred_instances``.

        Raises:
            ValueError: If an image's predictions have no joint scores, or
                joints of another skeleton.
        """
        needed = self.dataset_meta['num_keypoints']
        converted = (self.pred_converter or {}).get('num_keypoints')
        for sample in data_samples:
            check_sample(sample, needed, converted)
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics from processed results.

        Args:
            results (list): What :meth:`process` has collected.

        Returns:
            dict[str, float]: The numbers by name.

        Raises:
            ValueError: Names the first sample that came twice.
        """
        check_unique([prediction for prediction, _ in results])
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
        """Apply the NMS and write the results file.

        Args:
            keypoints (dict): The scored instances of every image.
            outfile_prefix (str): The file is this with
                ``.keypoints.json``.

        Raises:
            ValueError: Names the first pose for an unknown image, or with a
                joint or score that is not finite.
        """
        results = self.to_results(keypoints)
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
                self.coco.cats or None,
                source='the predictions',
            )
            # an untrained model is no reason to end its training
            check_scored(results, 'the predictions', strict=False)
            if self.nms is not None:
                results = self.to_results(self.suppress(keypoints))
        put_text(
            dump(results, file_format='json'),
            f'{outfile_prefix}.keypoints.json',
        )

    @staticmethod
    def to_results(images: dict[int, list[dict]]) -> list[dict]:
        """Instances as COCO has results.

        Args:
            images (dict): For every image id its instances, with
                ``img_id``, ``category_id``, ``keypoints`` (K, 3), ``score``
                and maybe ``bbox`` (x, y, w, h).

        Returns:
            list[dict]: The results, image after image.
        """
        results = []
        for instances in images.values():
            for instance in instances:
                result = dict(
                    image_id=instance['img_id'],
                    category_id=_category(instance['category_id']),
                    keypoints=instance['keypoints'].ravel().tolist(),
                    score=float(instance['score']),
                )
                if 'bbox' in instance:
                    result['bbox'] = instance['bbox'].tolist()
                results.append(result)
        return results

    def _do_python_keypoint_eval(
        self, outfile_prefix: str
    ) -> list[tuple[str, float]]:
        """Evaluate the results file: mmpose's hook for the evaluator."""
        self.check_annotations(self.dataset_meta['num_keypoints'])
        numbers = evaluate_keypoints(
            self.coco.dataset,
            load(f'{outfile_prefix}.keypoints.json'),
            self.dataset_meta['sigmas'],
            self.iou_type,
            self.use_area,
        )
        return list(numbers.items())

    def suppress(self, images: dict[int, list[dict]]) -> dict[int, list]:
        """Apply the NMS to the instances of all images.

        Args:
            images (dict): For every image id its instances, with
                ``keypoints`` (K, 3), ``bbox_score``, ``area``, ``score`` and
                maybe ``bbox`` (x, y, w, h).

        Returns:
            dict: The same with the instances that are kept.
        """
        if not self.uses_own_sigmas:
            self.nms.sigmas = self.dataset_meta['sigmas']
        fields = defaultdict(list)
        for instances in images.values():
            poses = np.stack([each['keypoints'] for each in instances])
            fields['keypoints'].append(poses[..., :2])
            fields['keypoint_scores'].append(poses[..., 2])
            fields['bboxes_xyxy'].append(_boxes(instances, poses))
            for field, name in (('scores', 'score'), ('areas', 'area')):
                values = [float(each[name]) for each in instances]
                fields[field].append(np.array(values))
        results = self.nms.batch(**fields)
        kept = defaultdict(list)
        for (image, instances), result in zip(
            images.items(), results, strict=True
        ):
            for index, kpts, joint_scores, score in zip(
                result.keep.tolist(),
                result.keypoints,
                result.keypoint_scores,
                result.scores.tolist(),
                strict=True,
            ):
                instance = dict(instances[index])
                own = instance['keypoints']
                if np.array_equal(kpts, own[:, :2]) and np.array_equal(
                    joint_scores, clean_scores(own[:, 2])
                ):
                    # not merged: negative scores of joints stay
                    joint_scores = np.where(
                        np.isfinite(own[:, 2]), own[:, 2], joint_scores
                    )
                else:
                    # a decay of the score stays, whatever the joints become
                    merged = person_score(
                        joint_scores,
                        float(instance['bbox_score']),
                        self.score_mode,
                        self.keypoint_score_thr,
                    )
                    before = float(instance['score'])
                    score = merged * (score / before if before else 1.0)
                pose = np.concatenate([kpts, joint_scores[:, None]], 1)
                kept[image].append(
                    {
                        **instance,
                        'keypoints': pose,
                        'keypoint_scores': joint_scores,
                        'score': score,
                    }
                )
        return kept


def _load(path: str) -> Any:
    """The content of a JSON file, of any backend."""
    try:
        return load(path, file_format='json')
    except ValueError as error:
        raise ValueError(f'{path} is not a JSON file: {error}') from error


def _category(given: Any) -> int:
    """The category, which annotated boxes or people give as an array."""
    given = np.ravel(given)
    if (given[1:] != given[:-1]).any():
        raise ValueError(
            f'PoseNMSCocoMetric: an image has people of the categories '
            f'{np.unique(given).tolist()}, and which a pose is of is not '
            "known: leave 'category_id' out of the meta_keys of PackPoseInputs"
        )
    return int(given[0]) if len(given) else 1


def _boxes(instances: list[dict], poses: np.ndarray) -> np.ndarray:
    """The instances' boxes (N, 4) as xyxy, or the extents of their poses."""
    if 'bbox' in instances[0]:
        boxes = np.array([each['bbox'] for each in instances])
        boxes = boxes.reshape(len(instances), 4).astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]
        return boxes
    return bboxes_around(poses[..., :2], poses[..., 2])
