"""The other NMS rules: OKS, soft OKS, and joints near one another."""

from collections.abc import Sequence

import numpy as np

from ..oks import pose_oks, resolve_sigmas
from .base import BasePoseNMS, PoseBatch, Selection
from .greedy import pose_extents, select_greedily


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
        kpts, areas, thr = poses.keypoints, poses.areas, self.thr
        sigmas = resolve_sigmas(self.sigmas, kpts.shape[1])

        def redundant(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            poses, others = kpts.take(i, axis=0), kpts.take(j, axis=0)
            return pose_oks(poses, others, areas[i], areas[j], sigmas) > thr

        return select_greedily(poses, redundant)


class SoftOKSNMS(BasePoseNMS):
    r"""`Soft-NMS`_ with object keypoint similarity.

    The best person is taken, the scores of all others fall by
    :math:`\exp(-OKS^2/\sigma)`, the best of them is taken next. The decayed
    scores are the result's; mmpose's function of that name drops them.

    .. _Soft-NMS: https://arxiv.org/abs/1704.04503

    Args:
        sigma (float): The larger, the less scores fall. Defaults to 0.9,
            the number that mmpose uses here.
        min_score (float): Persons whose score has fallen below are dropped.
            Defaults to 0.001.
        sigmas (sequence, optional): The data set's sigma of each keypoint.
            Defaults to None: COCO's, or inside of a metric its data set's.
    """

    def __init__(
        self,
        sigma: float = 0.9,
        min_score: float = 0.001,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        self.sigma = sigma
        self.min_score = min_score
        self.sigmas = sigmas

    def select(self, poses: PoseBatch) -> Selection:
        """Take the persons one after the other, with decayed scores."""
        kpts, areas = poses.keypoints, poses.areas
        sigmas = resolve_sigmas(self.sigmas, kpts.shape[1])
        scores = poses.person_scores.copy()
        taken = []
        stops = np.cumsum(poses.sizes)
        for start, stop in zip(stops - poses.sizes, stops, strict=True):
            left = np.arange(start, stop)
            while len(left := left[scores[left] >= self.min_score]):
                best = np.argmax(scores[left])
                pick, left = left[best], np.delete(left, best)
                taken.append(pick)
                oks = pose_oks(
                    kpts[pick], kpts[left], areas[pick], areas[left], sigmas
                )
                scores[left] *= np.exp(-(oks**2) / self.sigma)
        taken = np.array(taken, dtype=np.intp)
        joint_scores = poses.keypoint_scores[taken]
        ones = np.ones_like(taken)
        return Selection(taken, ones, kpts[taken], joint_scores, scores[taken])


class NearbyJointsNMS(BasePoseNMS):
    """Greedy NMS by the number of joints near one another, as in `DEKR`_.

    The person with the highest score is kept and eliminates all that have
    more than ``num_nearby_joints`` joints nearer to its own than
    ``dist_thr`` times the diagonal of its pose. A pose of one joint has no
    diagonal and eliminates nobody.

    .. _DEKR: https://arxiv.org/abs/2104.02300

    Args:
        dist_thr (float): Distance of nearby joints relative to the diagonal
            of the kept pose. Defaults to 0.05.
        num_nearby_joints (int, optional): Highest number of nearby joints of
            two poses that stay. Defaults to None, half the joints.
    """

    def __init__(
        self,
        dist_thr: float = 0.05,
        num_nearby_joints: int | None = None,
    ) -> None:
        self.dist_thr = dist_thr
        self.num_nearby_joints = num_nearby_joints

    def select(self, poses: PoseBatch) -> Selection:
        """Keep the best of poses with many joints nearby."""
        num_joints = poses.keypoints.shape[1]
        limit = self.num_nearby_joints
        if limit is None:
            limit = num_joints // 2
        elif limit >= num_joints:
            raise ValueError(
                f'num_nearby_joints={limit} can never be exceeded by poses '
                f'of {num_joints} keypoints'
            )
        x, y = np.ascontiguousarray(poses.keypoints.transpose(2, 0, 1))
        extents = x_low, x_high, y_low, y_high = pose_extents(x, y)
        diagonals = np.sqrt((x_high - x_low) ** 2 + (y_high - y_low) ** 2)
        reach = self.dist_thr * diagonals

        def redundant(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            squared = (x.take(j, axis=0) - x.take(i, axis=0)) ** 2
            squared += (y.take(j, axis=0) - y.take(i, axis=0)) ** 2
            return (squared < (reach[i] ** 2)[:, None]).sum(1) > limit

        # a little more, so that rounding leaves out no pair
        margin = reach * (1 + 1e-9)
        return select_greedily(poses, redundant, extents, margin)
