"""Nearby-joints NMS as a component that configs name."""

import numpy as np
from mmpose.registry import TASK_UTILS

from .base_pose_nms import BasePoseNMS
from .functional.greedy_nms import eliminate_pairs
from .functional.pose_extents import overlapping_blocks, pose_extents
from .functional.pose_nms_batch import PoseBatch
from .functional.pose_nms_selection import Selection, clusters_of

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
