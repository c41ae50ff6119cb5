"""The annotated people of a data set, and the OKS of poses with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .oks import annotated_oks


class NobodyToFind(ValueError):
    """Nobody is annotated, so there is no score."""


@dataclass
class ImageTruth:
    """The annotated people of an image (G people, K keypoints).

    Attributes:
        keypoints (np.ndarray): x, y, visibility, (G, K, 3), in pixels.
        bboxes_xywh (np.ndarray): Shape (G, 4), in pixels.
        areas (np.ndarray): Shape (G,), in square pixels.
        crowd (np.ndarray): Whether it stands for many people, (G,), bool.
        num_keypoints (np.ndarray, optional): Number of joints (G,) of each,
            where that is what tells who counts and not the labelled joints,
            as in CrowdPose. Defaults to None.
    """

    keypoints: np.ndarray
    bboxes_xywh: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    num_keypoints: np.ndarray | None = None

    @property
    def ignored(self) -> np.ndarray:
        """People that count neither as found nor as missed, (G,)."""
        if self.num_keypoints is not None:
            return self.crowd | (self.num_keypoints == 0)
        return self.crowd | ~(self.keypoints[..., 2] > 0).any(1)


class AnnotatedPeople:
    """The people of all images in one array, P in number.

    Args:
        truths (sequence): The :class:`ImageTruth` of every image.

    Raises:
        NobodyToFind: If no person is annotated.
    """

    def __init__(self, truths: Sequence[ImageTruth]) -> None:
        self.counts = np.array([len(truth.areas) for truth in truths])
        self.starts = np.cumsum(self.counts) - self.counts
        keypoints = np.concatenate([truth.keypoints for truth in truths])
        self.points = keypoints[..., :2]
        self.boxes = np.concatenate([truth.bboxes_xywh for truth in truths])
        self.areas = np.concatenate([truth.areas for truth in truths])
        self.crowd = np.concatenate([truth.crowd for truth in truths])
        self.ignored = np.concatenate([truth.ignored for truth in truths])
        self.labelled = keypoints[..., 2] > 0
        self.number = int((~self.ignored).sum())
        if self.number == 0:
            raise NobodyToFind(
                'the annotations have no person with labelled keypoints'
            )

    def oks(
        self, keypoints: np.ndarray, person: np.ndarray, sigmas: np.ndarray
    ) -> np.ndarray:
        """OKS of poses with annotated people, as COCO defines it.

        For people without labelled joints it is the distance to a box of
        thrice the size of theirs that counts.

        Args:
            keypoints (np.ndarray): Poses (M, K, 2) in pixels.
            person (np.ndarray): The person to compare each with, (M,).
            sigmas (np.ndarray): Shape (K,).

        Returns:
            np.ndarray: Shape (M,).
        """
        return annotated_oks(
            keypoints,
            self.points[person],
            self.labelled[person],
            self.boxes[person],
            self.areas[person],
            sigmas,
        )


def pairs_within(
    counts: np.ndarray, starts: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a pose and a person of the same image.

    Args:
        counts (np.ndarray): Number of people of every image, (I,).
        starts (np.ndarray): Place of the first person of each, (I,).
        images (np.ndarray): Image of every pose, (T,).

    Returns:
        tuple[np.ndarray]: Pose and person of each pair, ascending.
    """
    numbers = counts[images]
    pose = np.repeat(np.arange(len(images)), numbers)
    first = np.cumsum(numbers) - numbers
    person = np.arange(len(pose)) - np.repeat(first - starts[images], numbers)
    return pose, person
