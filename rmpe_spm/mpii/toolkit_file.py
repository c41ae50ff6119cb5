"""Predictions as MPII's multi-person toolkit reads them."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Union

import numpy as np
from scipy.io import savemat

from .annotations import MPII14_IDS
from .ap import NUM_JOINTS, PredictedPoses, check_poses
from .readers import read_matlab, structs


def write_predictions(
    path: Union[str, PathLike],
    predictions: Sequence[PredictedPoses],
    image_names: Sequence[str],
) -> None:
    """Write the ``.mat`` file that the multi-person toolkit evaluates.

    Its structure ``pred`` has for the k-th joint of the j-th person of the
    i-th unit ``pred.annolist(i).annorect(j).annopoints.point(k)`` with
    ``x``, ``y``, ``id`` and ``score``; ids are MPII's (0 to 15), without
    pelvis (6) and thorax (7), and joints that aren't predicted are left
    out. ``pred.annolist(i).image.name`` says which image it is. Where
    nobody is predicted, ``annorect`` is empty.

    Args:
        path (str | PathLike): The file; its folder is made if needed.
        predictions (sequence): The people of every unit, in the order of
            the units.
        image_names (sequence): The image of every unit.

    Raises:
        ValueError: If there are none, their numbers differ, a shape is
            wrong or a number is not finite; nothing is written then.
    """
    if len(predictions) == 0:
        raise ValueError('there are no predictions to write')
    if len(predictions) != len(image_names):
        raise ValueError(
            f'there are predictions for {len(predictions)} units, but images '
            f'of {len(image_names)}'
        )
    entries = []
    for index, (poses, name) in enumerate(
        zip(predictions, image_names, strict=True)
    ):
        check_poses(f'entry {index + 1} (image {name})', poses)
        predicted = poses.predicted
        if predicted is None:
            predicted = np.ones(poses.scores.shape, dtype=bool)
        people = []
        for person, joints in enumerate(predicted):
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
        rects = _struct_array(('annopoints',), people)
        entries.append([dict(name=name), rects])
    annolist = _struct_array(('image', 'annorect'), entries)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, dict(pred=dict(annolist=annolist)), do_compression=True)


def _struct_array(names: Sequence[str], rows: list[list]) -> np.ndarray:
    """A MATLAB structure array (1, N) with these fields."""
    array = np.empty((1, len(rows)), dtype=[(name, 'O') for name in names])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row)
    return array


def read_predictions(
    path: Union[str, PathLike],
) -> tuple[list[PredictedPoses], list[str]]:
    """Read what :func:`write_predictions` wrote, or a file like it.

    Args:
        path (str | PathLike): The file.

    Returns:
        tuple: The people of every unit, float64, and the units' images, ''
        where the file names none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it isn't of this form, has no entry, lacks a score,
            has a joint twice, or a number of an evaluated joint is not
            finite; the first bad entry is named.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file of predictions at {path}')
    annolist = getattr(read_matlab(path).get('pred'), 'annolist', None)
    if annolist is None:
        raise ValueError(f'{path} has no pred.annolist')
    if np.size(annolist) == 0:
        raise ValueError(f'{path}: pred.annolist is empty')
    predictions, names = [], []
    for index, entry in enumerate(np.atleast_1d(annolist)):
        name = getattr(getattr(entry, 'image', None), 'name', '')
        where = f'{path}: entry {index + 1}'
        where += f' (image {name})' if name else ''
        rects = structs(getattr(entry, 'annorect', None))
        predictions.append(_read_people(rects, where))
        names.append(name)
    return predictions, names


def _read_people(rects: list, where: str) -> PredictedPoses:
    """The people of one entry of ``annolist``."""
    places = {int(joint): place for place, joint in enumerate(MPII14_IDS)}
    keypoints = np.zeros((len(rects), NUM_JOINTS, 2))
    scores = np.zeros((len(rects), NUM_JOINTS))
    predicted = np.zeros((len(rects), NUM_JOINTS), dtype=bool)
    for person, rect in enumerate(rects):
        who = f'{where}: person {person + 1}'
        points = getattr(getattr(rect, 'annopoints', None), 'point', None)
        for point in structs(points):
            values = [
                _number(point, name, who) for name in ('x', 'y', 'score')
            ]
            joint = _number(point, 'id', who)
            if joint in (6, 7):  # not evaluated
                continue
            place = places.get(joint)
            if place is None or predicted[person, place]:
                what = 'twice' if place is not None else 'of no joint of MPII'
                raise ValueError(f'{who} has the id {joint:g} {what}')
            if not np.isfinite(values).all():
                raise ValueError(
                    f'{who} has x, y, score = {values} for the joint with '
                    f'the id {joint:g}'
                )
            keypoints[person, place] = values[:2]
            scores[person, place] = values[2]
            predicted[person, place] = True
    return PredictedPoses(keypoints, scores, predicted)


def _number(point: Any, name: str, who: str) -> float:
    """A number of a point."""
    value = getattr(point, name, None)
    if value is None or np.size(value) != 1:
        raise ValueError(f'{who} has a point without {name}')
    return float(value)
