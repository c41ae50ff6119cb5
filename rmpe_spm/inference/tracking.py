"""Ids of people across frames, and smoother joints."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..oks import COCO_SIGMAS
from ..poses import present_joints
from .inputs import DEFAULT_FPS
from .results import PoseResult

# Frames over which a person's velocity is taken.
_MEMORY = 4


class PoseTracker:
    r"""Give the people of a video ids, frame after frame.

    Between frames a person goes on as in the last few frames in which it was
    seen (`OC-SORT`_'s observation-centric motion: no filter that drifts while
    nobody is seen). Poses are assigned to the people that they resemble most,
    all at once (`SORT`_), by OKS with the pose where it is expected,

    .. math::
        \frac1{|J|}\sum_{n \in J} \exp\frac{-\|k^n - \hat l^n\|^2}
        {2 (2\sigma_n)^2 s^2 g}

    over the joints J that both have, with s^2 the larger of their areas and g
    the number of frames since the person was seen: its whereabouts spread as
    those of a random walk. Poses that resemble nobody are new people.

    Args:
        max_gap (int): A person not seen in so many frames is gone. Defaults
            to 30.
        oks_thr (float): The lowest similarity to be the same person.
            Defaults to 0.2.
        score_thr (float): A person's first pose has at least this score.
            Defaults to 0.2.
        smooth (bool): Whether joints go through a :class:`OneEuroFilter`, at
            the video's frames a second, otherwise 25. Defaults to False.

    Example::

        for result in map(PoseTracker(), inferencer('dance.mp4')):
            print(result.frame, result.track_ids)

    .. _OC-SORT: https://arxiv.org/abs/2203.14360
    .. _SORT: https://arxiv.org/abs/1602.00763
    """

    def __init__(
        self,
        max_gap: int = 30,
        oks_thr: float = 0.2,
        score_thr: float = 0.2,
        smooth: bool = False,
    ) -> None:
        self._max_gap, self._oks_thr = max_gap, oks_thr
        self._score_thr, self._smooth = score_thr, smooth
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._path: str | None = None
        self._frame = -1

    def __call__(self, result: PoseResult) -> PoseResult:
        """Give the poses of the next frame ``track_ids``.

        They are -1 for poses with a low score that belong to nobody. Another
        video begins anew, ids go on.
        """
        frame = self._frame + 1 if result.frame is None else result.frame
        is_still = result.frame is None and result.path != 'array'
        if is_still or result.path != self._path or frame <= self._frame:
            self._tracks = []
        self._path, self._frame = result.path, frame
        self._tracks = [
            track
            for track in self._tracks
            if frame - track.frames[-1] <= self._max_gap
        ]
        present = present_joints(result.keypoints, result.keypoint_scores)
        present &= result.keypoint_scores > 0
        poses = result.keypoints.astype(np.float64)
        poses[~present] = np.nan
        owners = self._assign(poses, frame)
        ids = np.full(len(result), -1)
        keypoints = result.keypoints.copy()
        for index, track in enumerate(owners):
            if track is None:
                if result.scores[index] < self._score_thr:
                    continue
                track = _Track(self._next_id)
                self._next_id += 1
                self._tracks.append(track)
            track.add(frame, poses[index])
            ids[index] = track.id
            if self._smooth:
                size = np.sqrt(_area(poses[index]))
                fps = result.fps or DEFAULT_FPS
                keypoints[index] = track.filter(
                    frame / fps, result.keypoints[index], size
                )
        return replace(result, keypoints=keypoints, track_ids=ids)

    def _assign(self, poses: np.ndarray, frame: int) -> list['_Track | None']:
        """The track of each pose (N, K, 2), or None."""
        owners: list[_Track | None] = [None] * len(poses)
        similarity = np.zeros((len(self._tracks), len(poses)))
        for i, track in enumerate(self._tracks):
            expected, gap = track.expected(frame), frame - track.frames[-1]
            for j, pose in enumerate(poses):
                scale = max(_area(pose), track.area) * gap
                similarity[i, j] = self._similarity(expected, pose, scale)
        rows, columns = linear_sum_assignment(-similarity)
        for i, j in zip(rows, columns, strict=True):
            if similarity[i, j] >= self._oks_thr:
                owners[j] = self._tracks[i]
        return owners

    @staticmethod
    def _similarity(
        expected: np.ndarray, pose: np.ndarray, scale: float
    ) -> float:
        """OKS over the joints that two poses (K, 2) both have."""
        squared = ((pose - expected) ** 2).sum(axis=1)
        both = np.isfinite(squared)
        if not both.any():
            return 0.0
        sigmas = np.asarray(COCO_SIGMAS)
        if len(sigmas) != len(pose):
            sigmas = sigmas.mean()  # of another skeleton
        exponent = squared / (8 * scale * sigmas**2)
        return float(np.exp(-exponent[both]).mean())


class OneEuroFilter:
    r"""The 1 € filter of Casiez et al (CHI 2012) on the joints of a person.

    A low-pass filter whose cutoff (Hz) rises with speed, in sizes of the
    person a second: still joints don't tremble, fast ones don't lag.

    .. math::
        \hat x_t = \alpha x_t + (1 - \alpha) \hat x_{t-1}, \quad
        \alpha = \frac{1}{1 + 1 / (2 \pi f_c \Delta t)}, \quad
        f_c = f_{min} + \beta |\hat{\dot x}_t|
    """

    def __init__(
        self,
        min_cutoff: float = 1.5,
        beta: float = 4.0,
        speed_cutoff: float = 1.0,
    ) -> None:
        self._min_cutoff, self._beta = min_cutoff, beta
        self._speed_cutoff = speed_cutoff
        self._time: float | None = None

    def __call__(
        self, time: float, points: np.ndarray, size: float
    ) -> np.ndarray:
        """Filter joints (K, 2), seen at a time in seconds."""
        if self._time is None:
            self._points, self._speed = points, np.zeros_like(points)
        else:
            passed = time - self._time
            speed = (points - self._points) / passed
            self._speed = self._speed + _alpha(self._speed_cutoff, passed) * (
                speed - self._speed
            )
            pace = np.linalg.norm(self._speed, axis=1, keepdims=True)
            cutoff = self._min_cutoff + self._beta * pace / max(size, 1.0)
            self._points = self._points + _alpha(cutoff, passed) * (
                points - self._points
            )
        self._time = time
        return self._points


def _alpha(cutoff: np.ndarray | float, passed: float) -> np.ndarray | float:
    return 1 / (1 + 1 / (2 * np.pi * cutoff * passed))


@dataclass
class _Track:
    """A person, where it was last; joints that a pose lacks are NaN."""

    id: int
    frames: list[int] = field(default_factory=list)
    poses: list[np.ndarray] = field(default_factory=list)
    filter: OneEuroFilter = field(default_factory=OneEuroFilter)

    def add(self, frame: int, pose: np.ndarray) -> None:
        self.frames = [*self.frames, frame][-_MEMORY:]
        self.poses = [*self.poses, pose][-_MEMORY:]

    @property
    def area(self) -> float:
        """The largest of the last frames: some may show a part only."""
        return max(map(_area, self.poses))

    def expected(self, frame: int) -> np.ndarray:
        """The last pose (K, 2), moved as a whole as it was moving."""
        moved = self.poses[-1] - self.poses[0]
        both = np.isfinite(moved[:, 0])
        if len(self.frames) == 1 or not both.any():
            return self.poses[-1]
        # the median joint: one that jumps moves nobody
        moved = np.median(moved[both], axis=0)
        passed = self.frames[-1] - self.frames[0]
        return self.poses[-1] + moved / passed * (frame - self.frames[-1])


def _area(pose: np.ndarray) -> float:
    """The area of the box around the joints (K, 2) that are there."""
    joints = pose[np.isfinite(pose[:, 0])]
    if not len(joints):
        return 1.0
    sides = np.ptp(joints, axis=0)
    # somebody seen from the side is as near as from the front
    return float(max(sides.prod(), 0.25 * sides.max() ** 2) + 1.0)
