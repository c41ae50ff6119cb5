"""Greedy elimination with any criterion."""

from collections.abc import Callable

import numpy as np


def eliminate(
    order: np.ndarray,
    images: np.ndarray,
    redundant: Callable[[int, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Which pose eliminates each pose.

    Args:
        order (np.ndarray): Indices (N,) of the poses, image after image, the
            best pose of each image first.
        images (np.ndarray): For every pose the image that it is in, (N,).
        redundant (callable): Called with the index of a pose that is kept
            and with those of the poses left after it; returns a boolean for
            each of these, whether it is to go.

    Returns:
        np.ndarray: Shape (N,): for each place in ``order`` the place of the
        pose that eliminated that pose, or its own.
    """
    owners = np.arange(len(order))
    alive = np.ones(len(order), dtype=bool)
    ends = np.searchsorted(images[order], images[order], side='right')
    for place, end in enumerate(ends.tolist()):
        if not alive[place]:
            continue
        left = alive[place + 1 : end].nonzero()[0] + place + 1
        if len(left):
            gone = left[redundant(order[place], order[left])]
            owners[gone] = place
            alive[gone] = False
    return owners


def eliminate_pairs(
    references: np.ndarray,
    candidates: np.ndarray,
    owners: np.ndarray,
    alive: np.ndarray,
) -> None:
    """Let the references, in order, take what is left of their candidates.

    Args:
        references (np.ndarray): For P redundant pairs the better pose, (P,);
            ascending, as the best pose is the first.
        candidates (np.ndarray): The other pose of each pair, (P,).
        owners (np.ndarray): For every pose the pose that eliminated it or
            its own index, (N,); updated in place.
        alive (np.ndarray): Poses not yet eliminated, (N,); updated in place.
    """
    if len(references) == 0:
        return
    first = np.ones(len(references), dtype=bool)
    np.not_equal(references[1:], references[:-1], out=first[1:])
    starts = first.nonzero()[0].tolist()
    stops = [*starts[1:], len(references)]
    for start, stop in zip(starts, stops, strict=True):
        reference = references[start]
        if alive[reference]:
            taken = candidates[start:stop]
            taken = taken[alive[taken]]
            owners[taken] = reference
            alive[taken] = False
