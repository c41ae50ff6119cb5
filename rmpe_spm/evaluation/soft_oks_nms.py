"""Soft OKS NMS as a component that configs name."""

from collections.abc import Sequence

import numpy as np
from mmpose.registry import TASK_UTILS

from .base_pose_nms import BasePoseNMS
from .functional.oks import pose_oks, resolve_sigmas
from .functional.pose_nms_batch import PoseBatch
from .functional.pose_nms_selection import Selection


@TASK_UTILS.register_module()
class SoftOKSNMS(BasePoseNMS):
    r"""`Soft-NMS`_ with object keypoint similarity.

    The best person is taken, the scores of all others fall by
    :math:`\exp(-OKS^2/\sigma)`, the best of them is taken next. The decayed
    scores are the result's; mmpose's function of that name drops them, and so
    does ``keep_scores=True``.

    .. _Soft-NMS: https://arxiv.org/abs/1704.04503

    Args:
        sigma (float): The larger, the less scores fall. Defaults to 0.9,
            the number that mmpose uses here.
        min_score (float): Persons whose score has fallen below are dropped.
            Defaults to 0.001.
        max_dets (int, optional): How many persons to keep of an image.
            Defaults to None, any number.
        keep_scores (bool): Whether the scores given are the result's, and
            their decay only tells who is kept. Defaults to False.
        sigmas (sequence, optional): The data set's sigma of each keypoint.
            Defaults to None: COCO's, or inside of a metric its data set's.
    """

    def __init__(
        self,
        sigma: float = 0.9,
        min_score: float = 0.001,
        max_dets: int | None = None,
        keep_scores: bool = False,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        if not sigma > 0:
            raise ValueError(f'sigma must be positive, but got {sigma}')
        if max_dets is not None and max_dets < 1:
            raise ValueError(f'max_dets must be at least 1, got {max_dets}')
        self.sigma = sigma
        self.min_score = min_score
        self.max_dets = max_dets
        self.keep_scores = keep_scores
        self.sigmas = sigmas

    def select(self, poses: PoseBatch) -> Selection:
        """Take the persons one after the other, with decayed scores."""
        sigmas = resolve_sigmas(self.sigmas, poses.keypoints.shape[1])
        areas = poses.areas
        scores = poses.person_scores.copy()
        taken = []
        stops = np.cumsum(poses.sizes)
        for start, stop in zip(stops - poses.sizes, stops, strict=True):
            left = np.arange(start, stop)
            limit = self.max_dets or len(left)
            while limit > 0:
                left = left[scores[left] >= self.min_score]
                if len(left) == 0:
                    break
                best = np.argmax(scores[left])
                pick, left = left[best], np.delete(left, best)
                taken.append(pick)
                limit -= 1
                oks = pose_oks(
                    poses.keypoints[pick],
                    poses.keypoints[left],
                    areas[pick],
                    areas[left],
                    sigmas,
                )
                scores[left] *= np.exp(-(oks**2) / self.sigma)
        taken = np.array(taken, dtype=np.intp)
        if self.keep_scores:
            scores = poses.person_scores
        return Selection(
            members=taken,
            sizes=np.ones_like(taken),
            keypoints=poses.keypoints[taken],
            keypoint_scores=poses.keypoint_scores[taken],
            scores=scores[taken],
        )
