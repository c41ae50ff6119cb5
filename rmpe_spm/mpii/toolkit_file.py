"""Predictions as MPII's multi-person toolkit reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Union

import numpy as np
from scipy.io import loadmat, savemat

from .annotations import MPII14_IDS
from .matching import NUM_JOINTS, PredictedPoses

_POINT = [('x', 'O'), ('y', 'O'), ('id', 'O'), ('score', 'O')]


@dataclass
class UnitPredictions:
    """The predicted people of one entry of ``annolist``.

    Attributes:
        image_name (str): File of the image.
        poses (PredictedPoses): The people.
    """

    image_name: str
    poses: PredictedPoses


def check_predictions(
    predictions: Sequence[UnitPredictions], image_names: Sequence[str]
) -> None:
    """Refuse predictions that the toolkit can't read or would mix up.

    Args:
        predictions (sequence): One :class:`UnitPredictions` a unit.
        image_names (sequence): The image of every unit to evaluate, in
            order.

    Raises:
        ValueError: If there are none, an image is unknown or at the wrong
            place, shapes are wrong, or a number is not finite; the first
            bad entry is named.
    """
    if len(predictions) == 0:
        raise ValueError('there are no predictions to write')
    known = set(image_names)
    for index, prediction in enumerate(predictions):
        where = f'entry {index + 1} (image {prediction.image_name})'
        if prediction.image_name not in known:
            raise ValueError(f'{where} is of an unknown image')
        if index >= len(image_names):
            raise ValueError(
                f'{where} is one too many: {len(image_names)} units are '
                'evaluated'
            )
        if prediction.image_name != image_names[index]:
            raise ValueError(
                f'{where} must be of the image {image_names[index]}: the '
                'toolkit goes by the order'
            )
        poses = prediction.poses
        people = len(poses.keypoints)
        arrays = [
            ('keypoints', poses.keypoints, (people, NUM_JOINTS, 2)),
            ('scores', poses.scores, (people, NUM_JOINTS)),
        ]
        for name, array, shape in arrays:
            if array.shape != shape:
                raise ValueError(
                    f'{where}: {name} have the shape {array.shape}, but must '
                    f'have {shape}'
                )
            bad = ~np.isfinite(array)
            if name == 'keypoints':
                bad = bad.any(-1)
            if poses.predicted is not None:
                bad &= poses.predicted
            if bad.any():
                person, joint = np.argwhere(bad)[0]
                raise ValueError(
                    f'{where}: person {person + 1} has {name} '
                    f'{array[person, joint]} for the joint with the id '
                    f'{MPII14_IDS[joint]}'
                )
    if len(predictions) < len(image_names):
        raise ValueError(
            f'entry {len(predictions) + 1} (image '
            f'{image_names[len(predictions)]}) is missing: '
            f'{len(image_names)} units are evaluated'
        )


def write_predictions(
    path: Union[str, PathLike],
    predictions: Sequence[UnitPredictions],
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
        predictions (sequence): One :class:`UnitPredictions` a unit.
        image_names (sequence): The image of every unit, in order.

    Raises:
        ValueError: If the predictions aren't valid
            (:func:`check_predictions`); nothing is written then.
    """
    check_predictions(predictions, image_names)
    annolist = np.empty(
        (1, len(predictions)), dtype=[('image', 'O'), ('annorect', 'O')]
    )
    for index, prediction in enumerate(predictions):
        poses = prediction.poses
        rects = np.empty(
            (1, len(poses.keypoints)), dtype=[('annopoints', 'O')]
        )
        for person in range(len(poses.keypoints)):
            joints = np.arange(NUM_JOINTS)
            if poses.predicted is not None:
                joints = poses.predicted[person].nonzero()[0]
            points = np.empty((1, len(joints)), dtype=_POINT)
            for place, joint in enumerate(joints):
                x, y = poses.keypoints[person, joint].tolist()
                points[0, place] = (
                    x,
                    y,
                    float(MPII14_IDS[joint]),
                    float(poses.scores[person, joint]),
                )
            rects[0, person] = (dict(point=points),)
        annolist[0, index] = (dict(name=prediction.image_name), rects)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, dict(pred=dict(annolist=annolist)), do_compression=True)


def read_predictions(path: Union[str, PathLike]) -> list[UnitPredictions]:
    """Read what :func:`write_predictions` wrote, or a file like it.

    Args:
        path (str | PathLike): The file.

    Returns:
        list[UnitPredictions]: The entries in order, float64.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it isn't of this form, has no entry, lacks a score,
            has a joint twice, or a number of an evaluated joint is not
            finite; the first bad entry is named.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file of predictions at {path}')
    try:
        content = loadmat(str(path), struct_as_record=False, squeeze_me=True)
    except Exception as error:  # scipy raises errors of many kinds
        raise ValueError(
            f'{path} is not a MATLAB file that can be read: {error!r}'
        ) from error
    annolist = getattr(content.get('pred'), 'annolist', None)
    if annolist is None:
        raise ValueError(f'{path} has no pred.annolist')
    if np.size(annolist) == 0:
        raise ValueError(f'{path}: pred.annolist is empty')
    return [
        _read_unit(entry, f'{path}: entry {index + 1}')
        for index, entry in enumerate(np.atleast_1d(annolist))
    ]


def _read_unit(entry: Any, where: str) -> UnitPredictions:
    """One entry of ``annolist``."""
    places = {int(joint): place for place, joint in enumerate(MPII14_IDS)}
    name = getattr(getattr(entry, 'image', None), 'name', '')
    where += f' (image {name})' if name else ''
    rects = _structs(getattr(entry, 'annorect', None))
    keypoints = np.zeros((len(rects), NUM_JOINTS, 2))
    scores = np.zeros((len(rects), NUM_JOINTS))
    predicted = np.zeros((len(rects), NUM_JOINTS), dtype=bool)
    for person, rect in enumerate(rects):
        points = getattr(getattr(rect, 'annopoints', None), 'point', None)
        for point in _structs(points):
            values = {}
            for field in ('x', 'y', 'id', 'score'):
                value = getattr(point, field, None)
                if value is None or np.size(value) != 1:
                    raise ValueError(
                        f'{where}: person {person + 1} has a point without '
                        f'{field}'
                    )
                values[field] = float(value)
            if values['id'] in (6, 7):  # not evaluated
                continue
            place = places.get(values['id'])
            if place is None or predicted[person, place]:
                what = 'twice' if place is not None else 'of no joint of MPII'
                raise ValueError(
                    f'{where}: person {person + 1} has the id '
                    f'{values["id"]:g} {what}'
                )
            for field in ('x', 'y', 'score'):
                if not np.isfinite(values[field]):
                    raise ValueError(
                        f'{where}: person {person + 1} has {field} '
                        f'{values[field]} for the joint with the id '
                        f'{values["id"]:g}'
                    )
            keypoints[person, place] = values['x'], values['y']
            scores[person, place] = values['score']
            predicted[person, place] = True
    return UnitPredictions(name, PredictedPoses(keypoints, scores, predicted))


def _structs(value: Any) -> list:
    """The members of a squeezed structure array, without empty ones."""
    return [
        member
        for member in np.atleast_1d(value)
        if hasattr(member, '_fieldnames')
    ]
