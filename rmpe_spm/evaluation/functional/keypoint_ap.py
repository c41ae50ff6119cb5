"""COCO's keypoint AP, evaluated again and again for subsets of poses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MAX_DETS = 20


@dataclass
class ImageTruth:
    """The annotated people of an image (G people, K keypoints).

    Attributes:
        keypoints (np.ndarray): x, y, visibility, (G, K, 3), in pixels.
        bboxes_xywh (np.ndarray): Shape (G, 4), in pixels.
        areas (np.ndarray): Shape (G,), in square pixels.
        crowd (np.ndarray): Whether it stands for many people, (G,), bool.
    """

    keypoints: np.ndarray
    bboxes_xywh: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    @property
    def ignored(self) -> np.ndarray:
        """People that count neither as found nor as missed, (G,)."""
        return self.crowd | ~(self.keypoints[..., 2] > 0).any(1)


def truth_oks(
    keypoints: np.ndarray, truth: ImageTruth, sigmas: np.ndarray
) -> np.ndarray:
    """OKS of poses with annotated people, as COCO defines it.

    For people without labelled joints it is the distance to the box of
    thrice their size that counts.

    Args:
        keypoints (np.ndarray): Poses (N, K, 2) in pixels.
        truth (ImageTruth): G people.
        sigmas (np.ndarray): Shape (K,).

    Returns:
        np.ndarray: Shape (N, G).
    """
    labelled = truth.keypoints[..., 2] > 0
    offset = keypoints[:, None] - truth.keypoints[None, ..., :2]
    unlabelled = ~labelled.any(1)
    if unlabelled.any():
        corner = truth.bboxes_xywh[unlabelled, None, :2]
        size = truth.bboxes_xywh[unlabelled, None, 2:]
        points = keypoints[:, None]
        offset[:, unlabelled] = np.maximum(corner - size - points, 0)
        offset[:, unlabelled] += np.maximum(points - corner - 2 * size, 0)
        labelled = labelled | unlabelled[:, None]
    variance = (2 * sigmas) ** 2
    exponent = (offset**2).sum(-1) / variance
    exponent /= (truth.areas + np.spacing(1))[:, None] * 2
    similarity = np.where(labelled, np.exp(-exponent), 0.0).sum(-1)
    return similarity / labelled.sum(-1)


class KeypointAP:
    """AP of any subset of the poses of a data set, within milliseconds.

    What does not depend on the subset is computed once: the OKS of all
    poses with all people, the order of the scores, and which poses compete
    for the same people. The results are those of COCO's evaluation, for 20
    poses an image and people of all sizes.

    Args:
        keypoints (sequence): Poses (N, K, 2) of every image, in pixels.
        scores (sequence): Their scores (N,).
        truths (sequence): The :class:`ImageTruth` of every image.
        sigmas (np.ndarray): Shape (K,).

    Raises:
        ValueError: If no person is annotated.
    """

    def __init__(
        self,
        keypoints: Sequence[np.ndarray],
        scores: Sequence[np.ndarray],
        truths: Sequence[ImageTruth],
        sigmas: np.ndarray,
    ) -> None:
        ignored = np.concatenate([truth.ignored for truth in truths])
        self.num_people = int((~ignored).sum())
        if self.num_people == 0:
            raise ValueError(
                'the annotations have no person with labelled keypoints'
            )
        self.ignored = ignored
        self.crowd = np.concatenate([truth.crowd for truth in truths])
        self.sizes = np.array([len(poses) for poses in keypoints])
        flat = np.concatenate([np.zeros(0), *scores])
        images = np.repeat(np.arange(len(truths)), self.sizes)
        # places of poses by image, then score: COCO's order of matching
        self.by_image = np.lexsort((-flat, images))
        self.image_starts = np.cumsum(self.sizes) - self.sizes
        ordered = flat[self.by_image]
        self.by_score = np.argsort(-ordered, kind='stable')
        pairs = []
        first_pose = first_person = 0
        for poses, truth in zip(keypoints, truths, strict=True):
            oks = truth_oks(poses, truth, sigmas)
            pose, person = np.nonzero(oks >= THRESHOLDS[0])
            pairs.append(
                (pose + first_pose, person + first_person, oks[pose, person])
            )
            first_pose += len(poses)
            first_person += len(truth.areas)
        pose, person, oks = map(np.concatenate, zip(*pairs, strict=True))
        place = np.empty(len(flat), dtype=np.intp)
        place[self.by_image] = np.arange(len(flat))
        self._split_pairs(place[pose], person, oks)

    def _split_pairs(
        self, pose: np.ndarray, person: np.ndarray, oks: np.ndarray
    ) -> None:
        """Separate people whose poses match nobody else from the rest."""
        num_poses = len(self.by_image)
        num_nodes = num_poses + len(self.ignored)
        links = coo_matrix(
            (np.ones(len(pose)), (pose, num_poses + person)),
            shape=(num_nodes, num_nodes),
        )
        _, group = connected_components(links, directed=False)
        people = np.bincount(group[num_poses:], minlength=group.max() + 1)
        alone = people[group[pose]] == 1
        order = np.lexsort((pose[alone], person[alone]))
        self.simple = tuple(
            values[alone][order] for values in (pose, person, oks)
        )
        first = np.ones(order.shape, dtype=bool)
        first[1:] = np.diff(self.simple[1]) > 0
        starts = first.nonzero()[0]
        self.simple_starts = np.repeat(
            starts, np.diff(np.append(starts, len(order)))
        )
        self._pad_groups(pose[~alone], person[~alone], oks[~alone], group)

    def _pad_groups(
        self,
        pose: np.ndarray,
        person: np.ndarray,
        oks: np.ndarray,
        group: np.ndarray,
    ) -> None:
        """Arrays of the groups of people that share poses."""
        groups, where = np.unique(group[pose], return_inverse=True)
        poses, people = [], []
        for index in range(len(groups)):
            poses.append(np.unique(pose[where == index]))
            members = np.unique(person[where == index])
            # people to ignore come last, as in COCO's order
            order = np.argsort(self.ignored[members], kind='stable')
            people.append(members[order])
        depth = max(map(len, poses), default=0)
        width = max(map(len, people), default=0)
        shape = len(groups), depth
        self.group_poses = np.full(shape, -1, dtype=np.intp)
        self.group_oks = np.full((*shape, width), -1.0)
        self.group_people = np.full((len(groups), width), -1, dtype=np.intp)
        for index in range(len(groups)):
            self.group_poses[index, : len(poses[index])] = poses[index]
            self.group_people[index, : len(people[index])] = people[index]
            here = where == index
            column = np.argsort(people[index])[
                np.searchsorted(np.sort(people[index]), person[here])
            ]
            row = np.searchsorted(poses[index], pose[here])
            self.group_oks[index, row, column] = oks[here]

    def __call__(self, kept: np.ndarray) -> float:
        """AP of a subset of the poses.

        Args:
            kept (np.ndarray): Whether each pose counts, (T,), in the order
                of the constructor's poses, image after image.

        Returns:
            float: COCO's AP, 0 to 1.
        """
        return float(self.precision(kept).mean())

    def precision(self, kept: np.ndarray) -> np.ndarray:
        """Interpolated precision of a subset of the poses.

        Args:
            kept (np.ndarray): As in :meth:`__call__`.

        Returns:
            np.ndarray: At 10 thresholds of OKS and 101 recalls, (10, 101).
        """
        kept = kept[self.by_image]
        number = np.cumsum(kept)
        before = np.concatenate([[0], number])[self.image_starts]
        kept = kept & (number - np.repeat(before, self.sizes) <= _MAX_DETS)
        matched = np.zeros((len(kept), len(THRESHOLDS)), dtype=bool)
        ignored = np.zeros_like(matched)
        self._match_simple(kept, matched, ignored)
        self._match_groups(kept, matched, ignored)
        order = self.by_score[kept[self.by_score]]
        result = np.zeros((len(THRESHOLDS), len(_RECALLS)))
        if len(order) == 0:
            return result
        found = (matched & ~ignored)[order].cumsum(0).T.astype(np.float64)
        wrong = (~matched)[order].cumsum(0).T
        recall = found / self.num_people
        precision = found / (wrong + found + np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        for row in range(len(THRESHOLDS)):
            place = np.searchsorted(recall[row], _RECALLS, side='left')
            inside = place < len(order)
            result[row, inside] = precision[row, place[inside]]
        return result

    def _match_simple(
        self, kept: np.ndarray, matched: np.ndarray, ignored: np.ndarray
    ) -> None:
        """The best pose that is good enough gets the person."""
        pose, person, oks = self.simple
        good = kept[pose][:, None] & (oks[:, None] >= THRESHOLDS)
        number = np.cumsum(good, 0, dtype=np.int32)
        before = (number - good)[self.simple_starts]
        # a crowd can be matched any number of times
        good &= (number - before == 1) | self.crowd[person][:, None]
        matched[pose] = good
        ignored[pose] = good & self.ignored[person][:, None]

    def _match_groups(
        self, kept: np.ndarray, matched: np.ndarray, ignored: np.ndarray
    ) -> None:
        """Pose after pose takes the best person that is left to it."""
        if self.group_poses.size == 0:
            return
        alive = kept[self.group_poses] & (self.group_poses >= 0)
        order = np.argsort(~alive, axis=1, kind='stable')
        counts = alive.sum(1)
        crowd = (self.crowd[self.group_people])[:, None]
        to_ignore = (self.ignored[self.group_people])[:, None]
        width = self.group_people.shape[1]
        free = np.ones((len(counts), len(THRESHOLDS), width), dtype=bool)
        for step in range(int(counts.max(initial=0))):
            group = (counts > step).nonzero()[0]
            row = order[group, step]
            pose = self.group_poses[group, row]
            oks = self.group_oks[group, row][:, None]
            good = free[group] & (oks >= THRESHOLDS[:, None])
            # people that count come before those to ignore; the last of
            # equals wins
            value = np.where(good, oks + 2 * ~to_ignore[group], -1.0)
            best = width - 1 - value[..., ::-1].argmax(-1)
            any_good = good.any(-1)
            matched[pose] = any_good
            taken = (np.arange(width) == best[..., None]) & any_good[..., None]
            ignored[pose] = (taken & to_ignore[group]).any(-1)
            free[group] &= ~taken | crowd[group]
