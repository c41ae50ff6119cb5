"""OKS NMS as a component that configs name."""

from collections.abc import Sequence

import numpy as np
from mmpose.registry import TASK_UTILS

from .base_pose_nms import BasePoseNMS
from .functional.greedy_nms import eliminate
from .functional.oks import pose_oks, resolve_sigmas
from .functional.pose_nms_batch import PoseBatch
from .functional.pose_nms_selection import Selection, clusters_of


@TASK_UTILS.register_module()
class OKSNMS(BasePoseNMS):
    """Greedy NMS by object keypoint similarity, as in `G-RMI`_ and mmpose.

    The person with the highest score is kept and eliminates all whose OKS
    with it, at the mean of both areas, is higher than ``thr``. Poses are
    not merged. The person's score ranks them, unlike in the parametric NMS.

    .. _G-RMI: https://arxiv.org/abs/1701.01779

    Args:
        thr (float): Highest OKS of two poses that stay. Defaults to 0.9.
        sigmas (sequence, optional): The data set's sigma of each keypoint.
            Defaults to None: COCO's, or inside of a metric its data set's.
    """

    def __init__(
        self, thr: float = 0.9, sigmas: Sequence[float] | None = None
    ) -> None:
        if not 0 <= thr <= 1:
            raise ValueError(f'thr is an OKS, from 0 to 1, but got {thr}')
        self.thr = thr
        self.sigmas = sigmas

    def select(self, poses: PoseBatch) -> Selection:
        """Keep the best of poses with a high OKS."""
        sigmas = resolve_sigmas(self.sigmas, poses.keypoints.shape[1])
        areas = poses.areas
        order = poses.ranking(poses.person_scores)

        def redundant(pick: int, others: np.ndarray) -> np.ndarray:
            oks = pose_oks(
                poses.keypoints[pick],
                poses.keypoints[others],
                areas[pick],
                areas[others],
                sigmas,
            )
            return oks > self.thr

        owners = eliminate(order, poses.images, redundant)
        return clusters_of(poses, order, owners)
