"""Generated people in the space of a camera, in CMU Panoptic's files.

People stand on a floor, in millimetres, before a camera of known height,
pitch and focal length; how large they are in the picture, how they are drawn
in perspective and who hides whom follow from where they stand.

A figure is drawn as it looks along the ray to its pelvis. The ground truth is
the drawn pixel of each joint at the joint's depth, so that pictures and
annotations agree exactly; beside the optical axis people are turned by the
ray's angle for it.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..cameras import pinhole, unproject
from ..errors import ConfigError
from ..files import write_atomically
from .appearance import sample_appearance
from .coco_annotations import scene_annotations, write_annotations
from .figure import Figure, draw_figure
from .poses import forward_kinematics, sample_pose
from .scene import Scene, draw_background, photograph

SPLITS = ('train', 'val')

# How many people a picture shows, and how far away they are (mm)
_PEOPLE = (1, 1, 1, 2, 2, 3, 4, 5)
_DISTANCES = (2600.0, 9000.0)

# CMU's 19 joints: neck, nose, middle of the hips, then these of COCO's
_FROM_COCO = (5, 7, 9, 11, 13, 15, 6, 8, 10, 12, 14, 16, 1, 3, 2, 4)

# CMU's confidence of a joint that is seen, is hidden, or that nobody could
# place; the data set takes those of 0.1 and more
_CONFIDENCES = np.array([0.05, 0.5, 1.0])


@dataclass(frozen=True)
class View:
    """A camera, ``height`` millimetres over a floor; focal in pixels."""

    focal: float
    height: float
    pitch: float
    size: tuple[int, int]

    @property
    def calibration(self) -> dict[str, Any]:
        """The camera in CMU's form: a world in cm, whose y points down."""
        c, s = (f(math.radians(self.pitch)) for f in (math.cos, math.sin))
        return dict(
            name='00_00',
            type='hd',
            resolution=list(self.size),
            **pinhole(self.focal, self.size),
            distCoef=[0.0] * 5,
            R=[[1, 0, 0], [0, c, -s], [0, s, c]],
            t=[[0.0], [c * self.height / 10], [s * self.height / 10]],
        )


def sample_view(
    rng: np.random.Generator, size: tuple[int, int], above: bool
) -> View:
    """A camera at eye level or so, or one that looks down from above."""
    focal = rng.uniform(0.8, 1.5) * size[0]
    if above:
        return View(focal, rng.uniform(2600, 4200), rng.uniform(24, 42), size)
    return View(focal, rng.uniform(900, 1900), rng.uniform(-3, 12), size)


def compose_space(
    rng: np.random.Generator, view: View
) -> tuple[Scene, list[np.ndarray]]:
    """Draw a picture; with it its people's joints (17, 3) in millimetres."""
    scene = Scene(draw_background(rng, view.size))
    angle = rng.uniform(-np.pi, 0)
    light = 0.9 * np.cos(angle), 0.9 * np.sin(angle)
    joints = []
    wanted = int(rng.choice(_PEOPLE))
    drawn = [_draw_person(rng, view, light) for _ in range(wanted)]
    # the nearest is painted last
    for _, figure, points in sorted(
        filter(None, drawn), key=lambda person: -person[0]
    ):
        scene.add(figure)
        joints.append(points)
    scene.image = photograph(scene.image, rng)
    return scene, joints


def _draw_person(
    rng: np.random.Generator, view: View, light: tuple[float, float]
) -> tuple[float, Figure, np.ndarray] | None:
    """Somebody on the floor: depth, figure and joints; None beside it."""
    camera = view.calibration
    rotation = np.array(camera['R'])
    pose, look = sample_pose(rng), sample_appearance(rng)
    while abs(pose.view[2]) > 45:  # who lies would float
        pose = sample_pose(rng)
    stature = float(np.clip(rng.normal(1700, 90), 1450, 2000))
    upright = replace(pose, view=(pose.view[0], 0.0, 0.0))
    body = forward_kinematics(upright, look.proportions)
    pelvis_height = -stature * body.joints[:, 1].min()
    for _ in range(20):
        forward = math.exp(rng.uniform(*np.log(_DISTANCES)))
        half = forward * view.size[0] / view.focal / 2
        place = rng.uniform(-half, half), view.height - pelvis_height, forward
        pelvis = rotation @ place
        origin = view.focal * pelvis[:2] / pelvis[2]
        origin = origin + (np.array(view.size) - 1) / 2
        inside = 0.1 < origin[1] / view.size[1] < 1
        if inside and pelvis[2] > _DISTANCES[0] * 0.9:
            break
    else:
        return None
    # the floor's tilt as it looks along the ray to the pelvis
    tilt = view.pitch + math.degrees(math.atan2(pelvis[1], pelvis[2]))
    pose = replace(pose, view=(pose.view[0], tilt, pose.view[2]))
    perspective = stature / pelvis[2]
    figure = draw_figure(
        pose,
        look,
        view.focal * perspective,
        tuple(origin),
        view.size,
        rng,
        light=light,
        perspective=perspective,
    )
    if figure is None:
        return None
    depths = pelvis[2] - stature * figure.nearness
    return pelvis[2], figure, unproject(figure.keypoints, depths, camera)


def panoptic_joints(
    joints: np.ndarray, flags: np.ndarray, camera: dict[str, Any]
) -> np.ndarray:
    """CMU's 19 joints (19, 4), centimetres, of COCO's 17, millimetres."""
    rotation, shift = np.array(camera['R']), np.array(camera['t'])[:, 0]
    world = (joints / 10 - shift) @ rotation
    known = np.c_[world, _CONFIDENCES[flags]]

    def between(left: int, right: int) -> np.ndarray:
        middle = known[[left, right]].mean(axis=0)
        middle[3] = known[[left, right], 3].min()
        return middle

    return np.stack(
        [
            between(5, 6),
            known[0],
            between(11, 12),
            *known[list(_FROM_COCO)],
        ]
    )


def generate_camera_space(
    root: str | Path,
    num_train: int,
    num_val: int,
    seed: int = 0,
    size: tuple[int, int] = (320, 256),
    *,
    views: int = 12,
    progress: bool = True,
) -> Path:
    """Write pictures of people in space.

    - ``{train,val}/view_XX/``: a camera's sequence as CMU Panoptic has it,
      for :class:`~rmpe_spm.PanopticMultiPersonDataset`; even numbers see the
      people from the side, odd ones from above
    - ``annotations/person_keypoints_{train,val}.json``: the same people in
      COCO's form, the pictures' names relative to ``train/`` and ``val/``

    The same arguments give the same files. What is labelled is the same in
    both: joints in the frame that are seen or could be guessed.

    Args:
        root (str | Path): A folder that does not exist or is empty.
        num_train (int): Number of training pictures.
        num_val (int): Number of validation pictures, by other cameras.
        seed (int): Defaults to 0.
        size (tuple): Width and height in pixels. Defaults to (320, 256).
        views (int): Cameras of each split. Defaults to 12.
        progress (bool): Whether to show a bar. Defaults to True.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: If the folder holds something, or a number is too small.
    """
    root = Path(root)
    if root.exists() and any(root.iterdir()):
        raise ConfigError(
            f'{root} is not empty: give a new folder, or remove it to make '
            'the pictures anew'
        )
    if min(num_train, num_val) < 0 or views < 1 or min(size) < 64:
        raise ConfigError(
            'num_train and num_val must not be negative, views at least 1 '
            f'and size (64, 64), got {num_train}, {num_val}, {views}, {size}'
        )
    for split, count in zip(SPLITS, (num_train, num_val), strict=True):
        seeds = [seed, SPLITS.index(split)]
        cameras = [
            sample_view(np.random.default_rng([*seeds, i]), size, i % 2 == 1)
            for i in range(min(views, count))
        ]
        for number, view in enumerate(cameras):
            name = f'view_{number:02d}'
            content = dict(cameras=[view.calibration])
            path = root / split / name / f'calibration_{name}.json'
            write_atomically(path, json.dumps(content))
        images, people = [], []
        samples = _write_pictures(root / split, seeds, count, cameras)
        bar = tqdm(samples, f'{split} pictures', count, disable=not progress)
        for image, shown in bar:
            images.append(image)
            people += shown
        path = root / 'annotations' / f'person_keypoints_{split}.json'
        write_annotations(path, images, people)
    return root


def _write_pictures(
    folder: Path, seeds: list[int], count: int, cameras: list[View]
) -> Iterator[tuple[dict, list[dict]]]:
    """Write pictures; the entries of each in COCO's form."""
    for number in range(1, count + 1):
        index = number % len(cameras)
        view, name = cameras[index], f'view_{index:02d}'
        rng = np.random.default_rng([*seeds, 1, number])
        scene, joints = compose_space(rng, view)
        bodies, people = [], []
        for person, annotation in scene_annotations(scene):
            if not annotation['num_keypoints']:
                continue
            people.append(dict(annotation, image_id=number))
            flags = np.array(annotation['keypoints'][2::3])
            own = panoptic_joints(joints[person], flags, view.calibration)
            own = own.round(4).ravel().tolist()
            bodies.append(dict(id=len(bodies), joints19=own))
        poses = folder / name / 'hdPose3d_stage1_coco19'
        write_atomically(
            poses / f'body3DScene_{number:08d}.json',
            json.dumps(dict(version=0.7, bodies=bodies)),
        )
        file_name = f'{name}/hdImgs/00_00/00_00_{number:08d}.jpg'
        path = folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), scene.image):
            raise OSError(f'{path} cannot be written: is the disk full?')
        width, height = view.size
        yield (
            dict(id=number, file_name=file_name, width=width, height=height),
            people,
        )
