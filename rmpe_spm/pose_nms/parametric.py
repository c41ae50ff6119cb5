"""Parametric pose NMS as a component that configs name."""

from dataclasses import replace
from os import PathLike
from typing import Any, Union

import numpy as np

from .base import BasePoseNMS, PoseBatch, Selection, mean_scores
from .greedy import pose_extents, select_greedily
from .rule import load_rule, make_rule
from .similarity import PoseSimilarity


class ParametricPoseNMS(BasePoseNMS):
    r"""Parametric pose NMS of `RMPE`_.

    The most confident pose is kept and eliminates those that are too
    similar to it; the rest goes on in the same way. The similarity is
    :math:`K_{Sim}(\sigma_1) + \lambda H_{Sim}(\sigma_2)`, the eliminating
    threshold :math:`\eta` (:class:`~rmpe_spm.PoseNMSRule`
    has the formula, the meaning and unit of every parameter, and where the
    paper and its authors' code differ).

    It is computed in float64 from the same numbers, whether they come as
    numpy arrays or as tensors of any device, so all of them keep the same
    poses. Joints with a coordinate that is not finite, or with
    x = y = score = 0, are missing: they match nothing, and the mean
    similarity is taken over the joints that the candidate has.

    .. _RMPE: https://arxiv.org/abs/1612.00137

    - instances: N
    - keypoints: K

    Args:
        preset (str, optional): ``'mpii'`` or ``'coco'``, the rules that the
            authors released for these data sets; ``'learned'``, that of
            COCO learned anew on photographs; ``'paper'``, the printed
            equations; ``'alphapose'``, the later ports with distances in
            pixels. Defaults to None: ``'coco'``, or the learned file's.
        learned_file (str | PathLike, optional): A JSON file written by
            ``tools/learn_pose_nms.py``, in place of a preset. Defaults to
            None.
        **parameters: Any attribute of
            :class:`~rmpe_spm.PoseNMSRule`, in place of the
            preset's or the file's: ``sigma1``, ``sigma2``, ``lambda_``,
            ``eta`` (per joint), ``alpha``, ``merge`` and others.

    Raises:
        ValueError: If both a preset and a file are given, a value is out of
            range or the file is not valid.
        TypeError: If a parameter is unknown.

    Examples:
        >>> keypoints = np.ones((2, 17, 2)) * 50  # twice the same pose
        >>> keypoint_scores = np.array([[0.8], [0.9]]).repeat(17, 1)
        >>> bboxes_xyxy = np.array([[0, 0, 100, 100]] * 2)
        >>> nms = ParametricPoseNMS(preset='mpii', merge=None)
        >>> nms(keypoints, keypoint_scores, bboxes_xyxy).keep
        array([1])
    """

    def __init__(
        self,
        preset: str | None = None,
        learned_file: Union[str, PathLike] | None = None,
        **parameters: Any,
    ) -> None:
        if learned_file is None:
            self.rule = make_rule(preset or 'coco', **parameters)
        elif preset is not None:
            raise ValueError(
                f'give either preset={preset!r} or learned_file='
                f'{str(learned_file)!r}: the file has every parameter'
            )
        else:
            self.rule = replace(load_rule(learned_file), **parameters)

    def confidence(self, poses: PoseBatch) -> np.ndarray:
        """The mean score of the joints, or the persons' scores."""
        if self.rule.rank_by == 'score':
            return poses.person_scores
        return mean_scores(poses.keypoint_scores)

    def select(self, poses: PoseBatch) -> Selection:
        """Apply the rule to all images at once."""
        similarity = PoseSimilarity(poses, self.rule)
        selection = select_greedily(
            poses,
            similarity.redundant,
            pose_extents(similarity.x, similarity.y),
            similarity.reach,
        )
        if self.rule.merge is not None:
            selection.keypoints, selection.keypoint_scores = similarity.merge(
                selection.members, selection.sizes
            )
            if poses.bbox_scores is not None:
                selection.scores = poses.bbox_scores[
                    selection.kept
                ] * mean_scores(selection.keypoint_scores)
        return selection
