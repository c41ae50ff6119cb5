"""MPII's multi-person AP as a metric of the runner."""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpose.registry import METRICS, TASK_UTILS

from .annotations import evaluated_joints
from .ap import UNANNOTATED, MpiiMatches, PredictedPoses, match_joints
from .samples import (
    EvaluationUnit,
    SamplePoses,
    annotated_poses,
    gather_units,
    read_sample,
)
from .toolkit_file import write_predictions

SCORE_MODES = ('keypoint', 'bbox', 'bbox_keypoint')


@METRICS.register_module()
class MpiiMultiPersonAP(BaseMetric):
    """PCKh@0.5 mean average precision of MPII's multi-person benchmark.

    The definition, with what is uncertain about it, is that of
    :func:`~rmpe_spm.mpii.ap.multi_person_ap`; the results are in percent:
    ``Head``, ``Shoulder``, ``Elbow``, ``Wrist``, ``Hip``, ``Knee``,
    ``Ankle`` and ``Total``.

    It evaluates the units of a :class:`~rmpe_spm.MpiiMultiPersonDataset`,
    groups or images as that says, and needs no file. In the group protocol
    poses count for the group they belong to
    (:func:`~rmpe_spm.mpii.samples.gather_units`).

    Every joint of a person has a score, made from its own score c and the
    box score b (the model's, else that of the detection, else 1):

    - ``'keypoint'``: c
    - ``'bbox'``: b
    - ``'bbox_keypoint'``: b times c

    The NMS ranks persons by b times the mean of their c, negative ones
    counted as 0. Where it lowers a person's score (``SoftOKSNMS``), the
    scores of the joints fall by the same factor.

    After an evaluation ``matches`` has what intervals over images need, in
    the process that computes the metrics.

    Args:
        nms (dict, optional): Config of the NMS that each unit's poses pass,
            for example ``dict(type='ParametricPoseNMS', preset='mpii')``;
            see :class:`~rmpe_spm.PoseNMSCocoMetric`. Sigmas, where it needs
            some, are the data set's. Defaults to None, no NMS.
        score_mode (str): What ranks the joints. Defaults to 'keypoint'.
        thr (float): Largest distance over head size of a match. Defaults
            to 0.5.
        unannotated (str): ``'ignore'`` or ``'false_positive'``, for joints
            that the assigned person has no annotation of. Defaults to
            'ignore'.
        format_only (bool): Whether to write the predictions and nothing
            else, as for test images. Defaults to False.
        outfile_prefix (str, optional): The predictions are written to this
            with ``.mat``, as the toolkit reads them. Defaults to None: they
            are not.
        collect_device (str): Where results of several processes meet,
            ``'cpu'`` or ``'gpu'``. Defaults to 'cpu'.
        prefix (str, optional): Of the results' names. Defaults to None:
            ``'mpii'``.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    default_prefix: str | None = 'mpii'

    def __init__(
        self,
        nms: dict | None = None,
        score_mode: str = 'keypoint',
        thr: float = 0.5,
        unannotated: str = 'ignore',
        *,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if score_mode not in SCORE_MODES:
            raise ValueError(
                f'score_mode {score_mode!r} is not one of {SCORE_MODES}'
            )
        if unannotated not in UNANNOTATED:
            raise ValueError(
                f'unannotated {unannotated!r} is not one of {UNANNOTATED}'
            )
        if not thr > 0:
            raise ValueError(f'thr must be positive, but is {thr}')
        if format_only and outfile_prefix is None:
            raise ValueError(
                'format_only=True needs an outfile_prefix to write to'
            )
        self.nms = None if nms is None else TASK_UTILS.build(nms)
        self.uses_own_sigmas = getattr(self.nms, 'sigmas', 0) is not None
        self.score_mode = score_mode
        self.thr = thr
        self.unannotated = unannotated
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.matches: MpiiMatches | None = None

    def process(
        self, data_batch: Sequence[dict], data_samples: Sequence[dict]
    ) -> None:
        """Keep the predictions and annotations of a batch.

        Args:
            data_batch (sequence): Not used.
            data_samples (sequence): What the model returned, see
                :func:`~rmpe_spm.mpii.samples.read_sample`.

        Raises:
            ValueError: If something is missing or not valid.
        """
        number = self.dataset_meta['num_keypoints']
        self.results += [read_sample(each, number) for each in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate, and write the predictions.

        Args:
            results (list): All :class:`SamplePoses`.

        Returns:
            dict: The columns and the total, in percent; empty with
            ``format_only``.
        """
        units, left_out = gather_units(results)
        if left_out:
            print_log(
                f'{left_out} predicted poses belong to none of the groups '
                'that their sample is of: left out',
                'current',
            )
        predicted = self._predictions(units, results)
        if not any(len(poses.scores) for poses in predicted):
            print_log(
                'the model found no pose in any image: all scores will be 0',
                'current',
                level=logging.WARNING,
            )
        if self.outfile_prefix is not None:
            write_predictions(
                f'{self.outfile_prefix}.mat',
                predicted,
                [unit.image_name for unit in units],
            )
        if self.format_only:
            return {}
        self.matches = match_joints(
            [annotated_poses(unit.people.values()) for unit in units],
            predicted,
            self.thr,
            self.unannotated,
            [unit.img_id for unit in units],
        )
        return self.matches.table()

    def _predictions(
        self, units: Sequence[EvaluationUnit], samples: Sequence[SamplePoses]
    ) -> list[PredictedPoses]:
        """The poses of every unit, after the NMS, with their final scores."""
        number = self.dataset_meta['num_keypoints']
        shapes = dict(
            keypoints=(number, 2),
            keypoint_scores=(number,),
            bboxes_xyxy=(4,),
            bbox_scores=(),
        )
        fields: dict[str, list[np.ndarray]] = {
            name: [
                np.array(
                    [getattr(samples[i], name)[j] for i, j in unit.poses]
                ).reshape(-1, *shape)
                for unit in units
            ]
            for name, shape in shapes.items()
        }
        decays = [np.ones(len(unit.poses)) for unit in units]
        if self.nms is not None:
            decays = self._suppress(fields)
        predicted = []
        for keypoints, joint_scores, bbox_scores, decay in zip(
            fields['keypoints'],
            fields['keypoint_scores'],
            fields['bbox_scores'],
            decays,
            strict=True,
        ):
            scores = joint_scores
            if self.score_mode == 'bbox':
                scores = np.ones_like(joint_scores)
            if self.score_mode != 'keypoint':
                scores = scores * bbox_scores[:, None]
            predicted.append(
                PredictedPoses(
                    evaluated_joints(keypoints),
                    evaluated_joints(scores * decay[:, None]),
                )
            )
        return predicted

    def _suppress(self, fields: dict[str, list]) -> list[np.ndarray]:
        """Apply the NMS in place; by what factor it lowered each person."""
        if not self.uses_own_sigmas:
            self.nms.sigmas = self.dataset_meta['sigmas']
        before = [
            boxes * np.maximum(joints, 0).mean(1)
            for boxes, joints in zip(
                fields['bbox_scores'], fields['keypoint_scores'], strict=True
            )
        ]
        results = self.nms.batch(
            fields['keypoints'],
            fields['keypoint_scores'],
            fields['bboxes_xyxy'],
            scores=before,
        )
        fields['keypoints'] = [result.keypoints for result in results]
        fields['keypoint_scores'] = [each.keypoint_scores for each in results]
        decays = []
        for unit, result in enumerate(results):
            kept = before[unit][result.keep]
            ones = np.ones(len(kept))
            decays.append(
                np.divide(result.scores, kept, where=kept > 0, out=ones)
            )
            boxes = fields['bbox_scores'][unit]
            fields['bbox_scores'][unit] = boxes[result.keep]
        return decays
