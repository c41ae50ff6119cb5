"""OKS NMS as a component that configs name."""

from collections.abc import Sequence

import numpy as np
from mmpose.registry import TASK_UTILS

from ..oks import pose_oks, resolve_sigmas
from .base import BasePoseNMS
from .batch import PoseBatch, Selection, clusters_of
from .greedy import (
    eliminate,
    eliminate_pairs,
    overlapping_blocks,
    pose_extents,
)

# pairs of poses in a block whose extents are compared: the fewer, the fewer
# poses of a crowd are compared that the block itself eliminates
_BLOCK = 1 << 13


@TASK_UTILS.register_module()
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
        max_dets (int, optional): How many persons to keep of an image.
            Defaults to None, any number.
    """

    def __init__(
        self,
        dist_thr: float = 0.05,
        num_nearby_joints: int | None = None,
        max_dets: int | None = None,
    ) -> None:
        if not dist_thr > 0:
            raise ValueError(f'dist_thr must be positive, but got {dist_thr}')
        if max_dets is not None and max_dets < 1:
            raise ValueError(f'max_dets must be at least 1, got {max_dets}')
        self.dist_thr = dist_thr
        self.num_nearby_joints = num_nearby_joints
        self.max_dets = max_dets

    def select(self, poses: PoseBatch) -> Selection:
        """Keep the best of poses with many joints nearby."""
        kpts = poses.keypoints
        limit = self.num_nearby_joints
        if limit is None:
            limit = kpts.shape[1] // 2
        elif limit >= kpts.shape[1]:
            raise ValueError(
                f'num_nearby_joints={limit} can never be exceeded by poses '
                f'of {kpts.shape[1]} keypoints'
            )
        order = poses.ranking(poses.person_scores)
        x, y = np.ascontiguousarray(kpts[order].transpose(2, 0, 1))
        extents = pose_extents(x, y)
        x_low, x_high, y_low, y_high = extents
        diagonals = np.sqrt((x_high - x_low) ** 2 + (y_high - y_low) ** 2)
        reach = self.dist_thr * diagonals
        squared_reach = reach**2
        ends = np.repeat(poses.sizes.cumsum(), poses.sizes)
        owners = np.arange(len(order))
        alive = np.ones(len(order), dtype=bool)
        # a little more, so that rounding leaves out no pair
        blocks = overlapping_blocks(
            extents, reach * (1 + 1e-9), ends, alive, _BLOCK
        )
        for i, j in blocks:
            squared = (x.take(j, axis=0) - x.take(i, axis=0)) ** 2
            squared += (y.take(j, axis=0) - y.take(i, axis=0)) ** 2
            near = squared < squared_reach[i][:, None]
            redundant = near.sum(axis=1) > limit
            eliminate_pairs(i[redundant], j[redundant], owners, alive)
        selection = clusters_of(poses, order, owners)
        if self.max_dets is not None:
            # clusters are sorted by image and score
            images = poses.images[selection.picks]
            place = np.arange(len(images)) - np.searchsorted(images, images)
            selection = selection.having(place < self.max_dets)
        return selection


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
