"""Say what a 3D-PCK lacks, and who scores low.

    python tools/test.py CONFIG WEIGHTS --dump predictions.pkl
    python tools/benchmarks/analyse_3d.py predictions.pkl

The first table has the 3D-PCK, roots aligned, of the people found: as
predicted, with part of each pose replaced by the truth, and of a flat person
at the root's true depth. The second has their scores by size, the longer side
of the joints' box in the picture: the median and the share above a score; of
poses that are nobody's the number.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.fileio import load

from rmpe_spm.cameras import unproject
from rmpe_spm.markdown import markdown_table
from rmpe_spm.panoptic.metric import match_people, root_indices

HIPS = [11, 12]
SIZES = (0, 50, 80, 110, 150, np.inf)
SCORES = (0.3, 0.1)


class FoundPerson(NamedTuple):
    """A pose and the person it belongs to, K labelled joints each."""

    pixels: np.ndarray
    points: np.ndarray
    true_pixels: np.ndarray
    true_points: np.ndarray
    root: np.ndarray  # which joints the root is the middle of
    camera: dict
    score: float


def read_people(
    samples: list[dict], match_thr: float = 0.25
) -> Iterator[FoundPerson | float]:
    """The people found, and the scores of poses that are nobody's."""
    for sample in samples:
        found, people = sample['pred_instances'], sample['gt_instances']
        pixels, points, true_pixels, true_points = (
            np.asarray(fields[key], dtype=float)
            for fields, key in (
                (found, 'keypoints'),
                (found, 'keypoints_3d'),
                (people, 'keypoints'),
                (people, 'keypoints_cam'),
            )
        )
        labelled = np.asarray(people['keypoints_visible']) > 0
        labelled &= np.isfinite(true_points).all(-1)
        scores = np.asarray(found['bbox_scores'], dtype=float)
        pairs = match_people(pixels, true_pixels, labelled, match_thr)
        for i, j in pairs:
            own = np.flatnonzero(labelled[j])
            root = np.isin(own, root_indices(labelled[j], HIPS))
            yield FoundPerson(
                pixels[i][own],
                points[i][own],
                true_pixels[j][own],
                true_points[j][own],
                root,
                sample['camera'],
                scores[i],
            )
        yield from np.delete(scores, [i for i, _ in pairs])


def replaced_parts(person: FoundPerson) -> dict[str, np.ndarray]:
    """The pose (K, 3) with the truth in the place of a part of it."""
    depths, true_depths = person.points[:, 2], person.true_points[:, 2]
    root, true_root = (d[person.root].mean() for d in (depths, true_depths))
    places = {
        'as predicted': (person.pixels, depths),
        'true depths': (person.pixels, true_depths),
        'true joints in the picture': (person.true_pixels, depths),
        'true depth of the root': (person.pixels, depths * true_root / root),
        'a flat person': (
            person.true_pixels,
            np.full_like(depths, true_root),
        ),
    }
    return {
        name: unproject(*place, person.camera)
        for name, place in places.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('predictions', type=Path, help='of test.py --dump')
    parser.add_argument('--thr', type=float, default=150, help='millimetres')
    args = parser.parse_args()

    found = list(read_people(load(args.predictions)))
    people = [one for one in found if isinstance(one, FoundPerson)]
    errors: dict[str, list[np.ndarray]] = {}
    for person in people:
        root, truth = person.root, person.true_points
        for name, pose in replaced_parts(person).items():
            shift = (pose - truth)[root].mean(0)
            distances = np.linalg.norm(pose - truth - shift, axis=1)
            errors.setdefault(name, []).append(distances)
    rows = []
    for name, own in errors.items():
        own = np.concatenate(own)
        share = f'{np.mean(own <= args.thr):.3f}'
        rows.append((name, share, f'{own.mean():.0f}'))
    head = ('', f'3D-PCK, {args.thr:g} mm, of those found', 'MPJPE (mm)')
    print(markdown_table(head, rows))

    sizes = np.array([np.ptp(p.true_pixels, axis=0).max() for p in people])
    scores = np.array([person.score for person in people])
    near = np.array([np.mean(e <= args.thr) for e in errors['as predicted']])
    rows = []
    bounds = zip((0, *SIZES[:-1]), (np.inf, *SIZES[1:]), strict=True)
    for low, high in bounds:
        own = (low <= sizes) & (sizes < high)
        if own.any():
            numbers = (
                f'{np.median(scores[own]):.2f}',
                *(f'{np.mean(scores[own] > thr):.2f}' for thr in SCORES),
                f'{near[own].mean():.3f}',
            )
            rows.append((f'{low} to {high:.0f} px', own.sum(), *numbers))
    nobody = np.array([one for one in found if isinstance(one, float)])
    counts = ((nobody > thr).sum() for thr in SCORES)
    rows.append(('nobody', len(nobody), '', *counts, ''))
    shares = (f'> {thr}' for thr in SCORES)
    head = ('', 'poses', 'median score', *shares, '3D-PCK')
    print(markdown_table(head, rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
