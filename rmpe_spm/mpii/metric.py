"""MPII's multi-person AP as a metric of the runner."""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpose.registry import METRICS, TASK_UTILS

from .annotations import evaluated_joints
from .ap import MpiiMatches, PredictedPoses, check_options, match_joints
from .samples import (
    EvaluationUnit,
    SamplePoses,
    annotated_poses,
    gather_units,
    read_sample,
)
from .toolkit_file import write_predictions

_FIELDS = ('keypoints', 'keypoint_scores', 'bboxes_xyxy', 'bbox_scores')
SCORE_MODES = ('keypoint', 'bbox', 'bbox_keypoint')


@METRICS.register_module()
class MpiiMultiPersonAP(BaseMetric):
    """PCKh@0.5 mean average precision of MPII's multi-person benchmark.

    The definition is that of the benchmark's toolkit,
    :func:`~rmpe_spm.mpii.ap.match_joints`; the results are in percent:
    ``Head``, ``Shoulder``, ``Elbow``, ``Wrist``, ``Hip``, ``Knee``,
    ``Ankle`` and ``Total``. By another definition they have its name:
    ``Total_ignore`` with ``unannotated='ignore'``, ``Total_toolkit`` with
    ``empty_units='toolkit'``.

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
        unannotated (str): A predicted joint that the assigned person lacks
            is a ``'false_positive'``, as in the toolkit; with ``'ignore'``
            it is left out. Defaults to 'false_positive'.
        empty_units (str): Whether the annotated joints of units without any
            predicted person ``'count'``, or not as in the ``'toolkit'``.
            Defaults to 'count'.
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
        unannotated: str = 'false_positive',
        *,
        empty_units: str = 'count',
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
        check_options(unannotated, empty_units)
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
        self.options = dict(unannotated=unannotated, empty_units=empty_units)
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.matches: MpiiMatches | None = None

    def process(
        self, data_batch: Sequence[dict], data_samples: Sequence[dict]
    ) -> None:
        """Keep the predictions and annotations of a batch.

        See :func:`~rmpe_spm.mpii.samples.read_sample` for what it takes and
        refuses.
        """
        number = self.dataset_meta['num_keypoints']
        self.results += [read_sample(each, number) for each in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate, and write the predictions."""
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
                'the model found no pose in any image',
                'current',
                level=logging.WARNING,
            )
        if self.outfile_prefix is not None:
            write_predictions(
                f'{self.outfile_prefix}.mat',
                predicted,
                [unit['image_name'] for unit in units],
            )
        if self.format_only:
            return {}
        self.matches = match_joints(
            [annotated_poses(unit.people.values()) for unit in units],
            predicted,
            self.thr,
            **self.options,
            image_ids=[unit['image_id'] for unit in units],
        )
        # no table shows numbers of another definition under the same name
        label = ''.join(
            f'_{option}'
            for option in self.options.values()
            if option in ('ignore', 'toolkit')
        )
        table = self.matches.table()
        return {f'{column}{label}': value for column, value in table.items()}

    def _predictions(
        self, units: Sequence[EvaluationUnit], samples: Sequence[SamplePoses]
    ) -> list[PredictedPoses]:
        """The poses of every unit, after the NMS, with their final scores."""
        keypoints, joint_scores, bboxes_xyxy, bbox_scores = (
            np.concatenate([getattr(sample, name) for sample in samples])
            for name in _FIELDS
        )
        person_scores = bbox_scores * np.maximum(joint_scores, 0).mean(1)
        places = [np.array(unit.poses, np.intp) for unit in units]
        poses = [keypoints[place] for place in places]
        scores = [joint_scores[place] for place in places]
        decays = [np.ones(len(place)) for place in places]
        if self.nms is not None:
            if not self.uses_own_sigmas:
                self.nms.sigmas = self.dataset_meta['sigmas']
            results = self.nms.batch(
                poses,
                scores,
                [bboxes_xyxy[place] for place in places],
                scores=[person_scores[place] for place in places],
            )
            poses = [result.keypoints for result in results]
            scores = [result.keypoint_scores for result in results]
            for unit, result in enumerate(results):
                places[unit] = places[unit][result.keep]
                before = person_scores[places[unit]]
                decays[unit] = np.divide(
                    result.scores,
                    before,
                    where=before > 0,
                    out=np.ones(len(before)),
                )
        predicted = []
        for unit, place in enumerate(places):
            values = scores[unit]
            if self.score_mode == 'bbox':
                values = np.ones_like(values)
            if self.score_mode != 'keypoint':
                values = values * bbox_scores[place, None]
            predicted.append(
                PredictedPoses(
                    evaluated_joints(poses[unit]),
                    evaluated_joints(values * decays[unit][:, None]),
                )
            )
        return predicted
