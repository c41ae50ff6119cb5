"""How well people are found in a camera's space."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.registry import METRICS

from ..errors import ConfigError

_HIPS = ('left_hip', 'right_hip')


@METRICS.register_module()
class MultiPersonPCK3D(BaseMetric):
    r"""3D-PCK, MPJPE and errors of the root of all people of a picture.

    Predicted people belong to annotated ones by where they are in the
    picture, not by their depth: the pair of which the joints are nearest to
    each other, on average, is taken first, while the distance is at most
    ``match_thr`` times the diagonal of the person's joints. Only joints count
    that are labelled and have a place in space.

    Results, ``panoptic/`` before each:

    - ``recall``: the share of people who are found;
    - ``PCK3D``: the share of all joints, of those who were not found too,
      that are within ``thr`` of their place once both roots are laid on one
      another; ``PCK3D_matched`` of the people found alone, ``PCK3D_abs``
      without alignment;
    - ``MPJPE`` and ``MPJPE_abs``: the mean distance of joints of people
      found, in millimetres, with and without alignment;
    - ``root_error``: the mean distance of their roots, in millimetres;
      ``root_depth``: the share whose root's depth is within a tenth.

    The root is the middle of the hips where both are labelled, else the mean
    of the labelled joints.

    Args:
        thr (float): In millimetres. Defaults to 150, as usual.
        match_thr (float): Defaults to 0.25.
        collect_device (str): As in mmengine. Defaults to ``'cpu'``.
        prefix (str, optional): As in mmengine. Defaults to ``None``.
    """

    default_prefix = 'panoptic'

    def __init__(
        self,
        thr: float = 150.0,
        match_thr: float = 0.25,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.thr = thr
        self.match_thr = match_thr

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the people of each picture and measure them.

        Raises:
            ConfigError: If a picture's predictions have no ``keypoints_3d``,
                or its annotations no ``keypoints_cam``.
        """
        for sample in data_samples:
            found, people = sample['pred_instances'], sample['gt_instances']
            for fields, key, help_ in (
                (
                    found,
                    'keypoints_3d',
                    "a codec in 3D, and 'camera' in meta_keys of "
                    'PackPoseInputs',
                ),
                (people, 'keypoints_cam', 'annotations in space'),
            ):
                if key not in fields:
                    raise ConfigError(
                        f'MultiPersonPCK3D: {sample.get("img_path")} has no '
                        f'{key}: this metric needs {help_}'
                    )
            self.results.append(
                measure_people(
                    _arrays(found, 'keypoints', 'keypoints_3d'),
                    _arrays(people, 'keypoints', 'keypoints_cam'),
                    np.asarray(people['keypoints_visible']) > 0,
                    self._hips(),
                    self.match_thr,
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Put the pictures' numbers together."""
        aligned, absolute, roots, depths = (
            np.concatenate(parts)
            for parts in zip(*(own[0] for own in results), strict=True)
        )
        num_people, num_joints = np.sum([own[1] for own in results], axis=0)

        def share(count: float, total: float) -> float:
            return float(count / total) if total else float('nan')

        def mean(values: np.ndarray) -> float:
            return share(values.sum(), len(values))

        near = (aligned <= self.thr).sum()
        return {
            'recall': share(len(roots), num_people),
            'PCK3D': share(near, num_joints),
            'PCK3D_matched': share(near, len(aligned)),
            'PCK3D_abs': share((absolute <= self.thr).sum(), num_joints),
            'MPJPE': mean(aligned),
            'MPJPE_abs': mean(absolute),
            'root_error': mean(roots),
            'root_depth': mean(depths <= 0.1),
        }

    def _hips(self) -> list[int]:
        names = self.dataset_meta['keypoint_name2id']
        return [names[hip] for hip in _HIPS if hip in names]


def _arrays(fields: Any, *keys: str) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(fields[key], dtype=np.float64) for key in keys)


def measure_people(
    found: tuple[np.ndarray, np.ndarray],
    people: tuple[np.ndarray, np.ndarray],
    labelled: np.ndarray,
    hips: Sequence[int],
    match_thr: float,
) -> tuple[tuple[np.ndarray, ...], tuple[int, int]]:
    """Measure the people of one picture.

    Poses and people are joints in pixels and in millimetres. Returns distances
    of people found with and without alignment, those of roots, relative errors
    of root depths, and the numbers of people and of their joints.
    """
    labelled = labelled & np.isfinite(people[1]).all(-1)
    counts = labelled.any(axis=1)
    people = people[0][counts], people[1][counts]
    labelled = labelled[counts]
    aligned, absolute, roots, depths = [], [], [], []
    for i, j in match_people(found[0], people[0], labelled, match_thr):
        own = labelled[j]
        root = root_indices(own, hips)
        pose, truth = found[1][i], people[1][j]
        center, true_center = pose[root].mean(0), truth[root].mean(0)
        shift = center - true_center
        errors = (pose - truth)[own]
        aligned.append(np.linalg.norm(errors - shift, axis=1))
        absolute.append(np.linalg.norm(errors, axis=1))
        roots.append(np.linalg.norm(shift))
        depths.append(abs(shift[2]) / true_center[2])
    empty = [np.zeros(0)]
    return (
        np.concatenate(empty + aligned),
        np.concatenate(empty + absolute),
        np.array(roots, dtype=float),
        np.array(depths, dtype=float),
    ), (len(labelled), int(labelled.sum()))


def root_indices(labelled: np.ndarray, hips: Sequence[int]) -> Sequence[int]:
    """The joints, of those labelled (K,), of which the root is the middle."""
    if hips and labelled[list(hips)].all():
        return hips
    return np.flatnonzero(labelled)


def match_people(
    found: np.ndarray,
    people: np.ndarray,
    labelled: np.ndarray,
    match_thr: float,
) -> list[tuple[int, int]]:
    """Match poses (M, K, 2) with people (N, K, 2), the nearest pair first.

    By the mean distance of labelled joints over the diagonal of their box.
    """
    if not len(found) or not len(people):
        return []
    mask = labelled[..., None]
    low = np.where(mask, people, np.inf).min(1)
    high = np.where(mask, people, -np.inf).max(1)
    diagonals = np.maximum(np.linalg.norm(high - low, axis=1), 1)
    distances = np.linalg.norm(found[:, None] - people, axis=-1) * labelled
    distances = distances.sum(-1) / labelled.sum(-1) / diagonals
    pairs = []
    for index in np.argsort(distances, axis=None, kind='stable'):
        i, j = np.unravel_index(index, distances.shape)
        # what belongs to a pair is out of reach
        if distances[i, j] <= match_thr:
            pairs.append((int(i), int(j)))
            distances[i], distances[:, j] = np.inf, np.inf
    return pairs
