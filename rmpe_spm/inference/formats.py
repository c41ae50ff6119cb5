"""Results files in the layouts that other tools read.

They follow what the tools document: COCO's results
(https://cocodataset.org/#format-results), OpenPose's JSON output with its
BODY_25 joints, AlphaPose's results list, and what mmpose's inferencers write.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ConfigError
from ..files import write_atomically
from .drawing import OverlayWriter, PoseDrawer
from .inputs import Picture
from .results import PoseResult
from .streaming import read_ahead

LAYOUTS = ('coco', 'openpose', 'alphapose', 'mmpose')

# OpenPose's BODY_25 by COCO's names; a pair is the middle of two joints.
_ARM, _LEG = ('shoulder', 'elbow', 'wrist'), ('hip', 'knee', 'ankle')
_TOES = ('big_toe', 'small_toe', 'heel')
_BODY_25 = (
    'nose',
    ('left_shoulder', 'right_shoulder'),
    *(f'{side}_{joint}' for side in ('right', 'left') for joint in _ARM),
    ('left_hip', 'right_hip'),
    *(f'{side}_{joint}' for side in ('right', 'left') for joint in _LEG),
    *('right_eye', 'left_eye', 'right_ear', 'left_ear'),
    *(f'{side}_{joint}' for side in ('left', 'right') for joint in _TOES),
)


class ResultWriter:
    """Write results as they come; what was written is readable at any time.

    - ``coco``: ``keypoints.json``, a person an entry. ``image_id`` is the
      number that a picture's name is, as COCO's are, or else counts pictures
      from 1 on; ``bbox``, ``file_name`` and, of a video, ``frame`` are added,
      and the file serves as ``boxes_from`` too.
    - ``alphapose``: ``alphapose-results.json``, the same with the file's name
      as ``image_id``; frames are ``NAME_000012.jpg``.
    - ``openpose``: ``openpose/NAME_keypoints.json``, a picture or frame each.
    - ``mmpose``: ``NAME.json``, a picture or a video each.

    Args:
        layout (str): One of :data:`LAYOUTS`.
        out_dir (str | Path): The folder of the files; made if missing.

    Raises:
        ConfigError: There is no such layout.
    """

    def __init__(self, layout: str, out_dir: str | Path) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(
                f'format must be one of {", ".join(LAYOUTS)}: {layout!r}'
            )
        self._layout, self._out_dir = layout, Path(out_dir)
        self._count = 0
        self._list_path: Path | None = None

    def write(self, result: PoseResult, name: str) -> None:
        """Write a result under the name, no other input's, of its source."""
        self._count += 1
        if self._layout == 'coco':
            self._append('keypoints', _coco_people(result, self._count))
        elif self._layout == 'alphapose':
            people = _alphapose_people(result, name)
            self._append('alphapose-results', people)
        elif self._layout == 'openpose':
            if result.frame is not None:
                name = f'{name}_{result.frame:012d}'
            content = dict(version=1.3, people=_openpose_people(result))
            self._write(f'openpose/{name}_keypoints', content)
        elif result.frame is None:
            self._write(name, _mmpose_people(result))
        else:
            people = _mmpose_people(result)
            frame = dict(frame_id=result.frame, instances=people)
            self._append(name, [frame])

    def _write(self, name: str, content: Any) -> None:
        path = self._out_dir / f'{name}.json'
        write_atomically(path, json.dumps(content))

    def _append(self, name: str, entries: list[dict]) -> None:
        """Add to a list that is whole JSON after every addition."""
        path = self._out_dir / f'{name}.json'
        if self._list_path != path:
            write_atomically(path, '[\n]\n')
            self._list_path, self._is_empty = path, True
        if not entries:
            return
        start = '' if self._is_empty else ','
        text = ',\n'.join(json.dumps(each) for each in entries)
        with path.open('r+b') as file:
            file.seek(-3, 2)  # before the closing bracket
            file.write(f'{start}\n{text}\n]\n'.encode())
        self._is_empty = False


def _coco_people(result: PoseResult, number: int) -> list[dict]:
    """Give people as entries of COCO's results."""
    path = Path(result.path)
    place: dict[str, Any] = dict(file_name=path.name)
    if result.frame is not None:
        place['frame'] = result.frame
    elif path.stem.isdecimal():
        number = int(path.stem)
    return [
        dict(image_id=number, category_id=1, **person, **place)
        for person in _people(result, 'bbox', 'track_id')
    ]


def _alphapose_people(result: PoseResult, name: str) -> list[dict]:
    """Give people as entries of AlphaPose's results."""
    image_id = Path(result.path).name
    if result.frame is not None:
        image_id = f'{name}_{result.frame:06d}.jpg'
    return [
        dict(image_id=image_id, category_id=1, **person)
        for person in _people(result, 'box', 'idx')
    ]


def _openpose_people(result: PoseResult) -> list[dict]:
    """Give people with OpenPose's 25 joints, 0 where the skeleton has none."""
    places = {name: i for i, name in enumerate(result.keypoint_names)}
    pairs = [(j, j) if isinstance(j, str) else j for j in _BODY_25]
    index = np.array([[places.get(j, -1) for j in pair] for pair in pairs])
    index[(index < 0).any(axis=1)] = -1  # the zeros behind the joints
    joints = np.dstack((result.keypoints, result.keypoint_scores))
    joints = np.pad(joints, ((0, 0), (0, 1), (0, 0)))[:, index]
    body = joints.mean(axis=2)
    body[..., 2] = joints[..., 2].min(axis=2)
    parts = ('face', 'hand_left', 'hand_right')
    empty = [f'{part}_keypoints_2d' for part in parts]
    empty += [f'{part}_keypoints_3d' for part in ('pose', *parts)]
    return [
        dict(
            person_id=[result.track_id(index).get('track_id', -1)],
            pose_keypoints_2d=_rounded(person),
            **{key: [] for key in empty},
        )
        for index, person in enumerate(body)
    ]


def _mmpose_people(result: PoseResult) -> list[dict]:
    """Give people as mmpose's inferencers do."""
    return [
        dict(
            keypoints=result.keypoints[i].tolist(),
            keypoint_scores=result.keypoint_scores[i].tolist(),
            bbox=[result.bboxes_xyxy[i].tolist()],
            bbox_score=float(result.scores[i]),
            **result.in_space(i),
            **result.track_id(i),
        )
        for i in range(len(result))
    ]


class UniqueNames:
    """Give inputs of the same name in different folders different names."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._arrays = 0

    def __call__(self, result: PoseResult) -> str:
        """Name the result's picture or video, without a suffix."""
        key = result.path
        if key == 'array':
            self._arrays += 1
            return f'array_{self._arrays:06d}'
        if key not in self._names:
            stem = re.sub(r'[^\w.\- ]', '_', Path(key).stem)
            name, number = stem, 1
            while name in self._taken:
                number += 1
                name = f'{stem}_{number}'
            self._names[key] = name
            self._taken.add(name)
        return self._names[key]


def _people(result: PoseResult, box_key: str, id_key: str) -> Iterator[dict]:
    """Yield joints, score, box (x, y, width, height) and id of the people."""
    joints = np.dstack((result.keypoints, result.keypoint_scores))
    low, high = np.split(result.bboxes_xyxy, 2, axis=1)
    boxes = np.hstack((low, high - low))
    rows = zip(joints, result.scores, boxes, strict=True)
    for index, (person, score, box) in enumerate(rows):
        yield {
            'keypoints': _rounded(person),
            'score': float(score),
            box_key: _rounded(box),
            **result.in_space(index),
            **result.track_id(index, id_key),
        }


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(values.astype(np.float64), 4).ravel().tolist()


def write_results(
    results: Iterable[tuple[Picture, PoseResult]],
    writer: ResultWriter | None,
    overlays: OverlayWriter | None,
) -> Iterator[tuple[Picture, PoseResult]]:
    """Write results while the next are predicted in a thread; yield them.

    What was yielded is in the files, and videos can be played once this
    generator ends, also early.

    Raises:
        ConfigError: A file cannot be written.
    """
    name_of = UniqueNames()
    try:
        for picture, result in read_ahead(results):
            name = name_of(result)
            try:
                # what the poses' file lists is drawn, also after Ctrl-C
                if overlays is not None:
                    overlays.write(picture, result, name)
                if writer is not None:
                    writer.write(result, name)
            except OSError as error:
                raise ConfigError(
                    f'cannot write to the results: {error}'
                ) from error
            yield picture, result
    finally:
        if overlays is not None:
            overlays.close()


def show_results(
    results: Iterable[tuple[Picture, PoseResult]], drawer: PoseDrawer
) -> Iterator[tuple[Picture, PoseResult]]:
    """Show each drawn picture in a window until a key is pressed; yield it.

    Frames go on by themselves; Escape ends it.

    Raises:
        ConfigError: This OpenCV has no windows, or there is no screen.
    """
    escape = 27
    try:
        for picture, result in results:
            cv2.imshow('rmpe-spm', drawer.draw(picture.image, result))
            yield picture, result
            wait = 0 if picture.frame is None else 1
            if cv2.waitKey(wait) & 0xFF == escape:
                break
        cv2.destroyAllWindows()
    except cv2.error as error:
        raise ConfigError(
            'nothing can be shown: it takes a screen and OpenCV with windows '
            '(opencv-python in the place of opencv-python-headless). '
            'vis_out_dir= writes the drawn pictures'
        ) from error
