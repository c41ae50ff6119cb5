"""Predictions as MPII's multi-person toolkit reads them."""

from collections.abc import Sequence
from itertools import zip_longest
from os import PathLike
from pathlib import Path

import numpy as np
from scipy.io import savemat

from ..coco.results import Submission
from ..errors import ConfigError
from .annotations import MPII14_IDS
from .ap import PredictedPoses
from .groups import make_units, read_groups
from .readers import read_matlab, read_mpii, read_number, structs

# the name by which the toolkit opens it
TOOLKIT_FILE = 'pred_keypoints_mpii_multi.mat'


def write_predictions(
    path: str | PathLike,
    predictions: Sequence[PredictedPoses],
    image_names: Sequence[str],
) -> None:
    """Write the ``.mat`` file that the multi-person toolkit evaluates.

    The structure array ``pred`` has an element for each unit of the ground
    truth, in its order. Its j-th person's k-th joint is
    ``pred(i).annorect(j).annopoints.point(k)`` with ``x``, ``y``, ``id`` and
    ``score``; ids are MPII's (0 to 15), without pelvis (6) and thorax (7),
    and joints that aren't predicted are left out. ``pred(i).image.name`` is
    for our reader.
    """
    entries = []
    for poses, name in zip(predictions, image_names, strict=True):
        people = []
        for person, joints in enumerate(poses.predicted):
            joints = joints.nonzero()[0]
            rows = np.column_stack(
                [
                    poses.keypoints[person, joints],
                    MPII14_IDS[joints],
                    poses.scores[person, joints],
                ]
            )
            points = _struct_array(('x', 'y', 'id', 'score'), rows.tolist())
            people.append([dict(point=points)])
        entries.append(
            [_struct_array(('annopoints',), people), {'name': name}]
        )
    pred = _struct_array(('annorect', 'image'), entries)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, dict(pred=pred), do_compression=True)


def _struct_array(names: Sequence[str], rows: list[list]) -> np.ndarray:
    """A MATLAB structure array (1, N) with these fields."""
    array = np.empty((1, len(rows)), dtype=[(name, 'O') for name in names])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row)
    return array


def read_predictions(
    path: str | PathLike,
) -> tuple[list[PredictedPoses], list[str]]:
    """Read each unit's people and image, '' where the file names none.

    Older files have ``pred.annolist(i)`` for ``pred(i)``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: Names the first entry that isn't of this form, or has a
            joint that is unknown, there twice or not finite.
    """
    pred = read_matlab(path).get('pred')
    entries = structs(getattr(pred, 'annolist', pred))
    if not entries or not hasattr(entries[0], 'annorect'):
        raise ValueError(
            f'{path} has no predictions as the toolkit reads them, '
            'pred(i).annorect(k).annopoints.point(j)'
        )
    predictions, names = [], []
    for index, entry in enumerate(entries):
        name = getattr(getattr(entry, 'image', None), 'name', '')
        where = f'{path}: entry {index + 1}'
        where += f' (image {name})' if name else ''
        predictions.append(_read_people(structs(entry.annorect), where))
        names.append(name)
    return predictions, names


def _read_people(rects: list, where: str) -> PredictedPoses:
    """The people of one entry."""
    places = {int(joint): place for place, joint in enumerate(MPII14_IDS)}
    poses = PredictedPoses(
        np.zeros((len(rects), 14, 2)),
        np.zeros((len(rects), 14)),
        np.zeros((len(rects), 14), dtype=bool),
    )
    for person, rect in enumerate(rects):
        who = f'{where}: person {person + 1}'
        points = getattr(getattr(rect, 'annopoints', None), 'point', None)
        for point in structs(points):
            joint, *values = (
                read_number(point, name) for name in ('id', 'x', 'y', 'score')
            )
            if joint in (6, 7):  # not evaluated
                continue
            place = places.get(joint)
            if (
                place is None
                or poses.predicted[person, place]
                or not np.isfinite(values).all()
            ):
                raise ValueError(
                    f'{who} has a point with id {joint:g} and x, y, score = '
                    f'{values}: ids are 0 to 15, each once, and all numbers '
                    'finite'
                )
            poses.keypoints[person, place] = values[:2]
            poses.scores[person, place] = values[2]
            poses.predicted[person, place] = True
    return poses


def make_mpii_submission(
    result_file: str | PathLike,
    ann_file: str | PathLike,
    group_file: str | PathLike,
    folder: str | PathLike,
) -> Submission:
    """Check predictions for MPII's test groups, and write the toolkit's file.

    Raises:
        FileNotFoundError: If a file doesn't exist.
        ValueError: If a file isn't of its form, or the entries aren't those
            of the test groups, image by image. Nothing is written then.
    """
    predictions, names = read_predictions(result_file)
    images = read_mpii(ann_file)
    groups = read_groups(group_file, images)
    units = make_units(images, 'group', groups, 'test')
    for index, (name, unit) in enumerate(zip_longest(names, units)):
        if unit is None or name != unit.image.name:
            raise ConfigError(
                f'{result_file} has {len(names)} entries, {group_file} '
                f'{len(units)} groups of test images, and entry {index + 1} '
                "is not of the group's image: evaluate with the data set's "
                "split='test', protocol='group' and this group_file"
            )
    path = Path(folder, TOOLKIT_FILE)
    write_predictions(path, predictions, names)
    counts = np.array([len(poses.scores) for poses in predictions])
    scores = np.concatenate([p.scores[p.predicted] for p in predictions])
    notes = []
    if not counts.all():
        empty = (counts == 0).sum()
        notes.append(f'{empty} of {len(names)} groups have no pose')
    if len(np.unique(scores)) == 1:
        notes.append(
            f'all joints have the score {scores[0]:g}: AP needs scores that '
            'rank them'
        )
    num_images = len(set(np.array(names)[counts > 0]))
    return Submission(path, int(counts.sum()), num_images, notes)
