"""Nearby-joints NMS as a component that configs name."""

import numpy as np
from mmpose.registry import TASK_UTILS

from .base_pose_nms import BasePoseNMS
from .functional.greedy_nms import eliminate
from .functional.pose_nms_batch import PoseBatch, Selection, clusters_of

# Up to so many poses all pairs are compared at once, which is faster than
# one kept pose at a time.
_AT_ONCE = 96


@TASK_UTILS.register_module()
class NearbyJointsNMS(BasePoseNMS):
    """Greedy NMS by the number of joints near one another, as in `DEKR`_.

    The person with the highest score is kept and eliminates all that have
    more than ``num_nearby_joints`` joints nearer to its own than
    ``dist_thr`` times the diagonal of its pose.

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
        low = np.nanmin(kpts, 1, initial=np.inf)
        high = np.nanmax(kpts, 1, initial=-np.inf)
        x = np.ascontiguousarray(kpts[..., 0])
        y = np.ascontiguousarray(kpts[..., 1])
        reach = (self.dist_thr * np.linalg.norm(high - low, axis=1)) ** 2

        def near(picks: np.ndarray, others: np.ndarray) -> np.ndarray:
            squared = (x[others] - x[picks]) ** 2
            squared += (y[others] - y[picks]) ** 2
            found = squared < reach[picks][..., None]
            return np.count_nonzero(found, axis=-1) > limit

        if len(kpts) <= _AT_ONCE:
            every = np.arange(len(kpts))
            table = near(every[:, None], every)

            def redundant(pick: int, others: np.ndarray) -> np.ndarray:
                return table[pick, others]
        else:

            def redundant(pick: int, others: np.ndarray) -> np.ndarray:
                return near(np.array([pick]), others)

        order = poses.ranking(poses.person_scores)
        owners = eliminate(order, poses.images, redundant)
        selection = clusters_of(poses, order, owners)
        if self.max_dets is not None:
            # clusters are sorted by image and score
            images = poses.images[selection.picks]
            place = np.arange(len(images)) - np.searchsorted(images, images)
            selection = selection.having(place < self.max_dets)
        return selection
