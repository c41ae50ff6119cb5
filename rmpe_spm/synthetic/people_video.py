"""A video of the embedded people: smooth paths, occlusions, known ids."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .appearance import Appearance, sample_appearance
from .coco_annotations import scene_annotations, write_annotations
from .figure import draw_figure
from .poses import Pose
from .scene import Scene, draw_background

FPS = 25
_NAME = '000001_generated'


@dataclass(frozen=True)
class Walker:
    """Somebody who walks to and fro across the picture, in pixels."""

    look: Appearance
    stature: float
    bottom: float
    middle: float
    reach: float
    period: float
    start: float
    steps: float

    def x_at(self, frame: int) -> tuple[float, float]:
        """The pelvis's x, in pixels, and its change a frame."""
        angle = 2 * math.pi * (frame / self.period + self.start)
        speed = 2 * math.pi / self.period * self.reach
        x = self.middle + self.reach * math.sin(angle)
        return x, speed * math.cos(angle)

    def pose_at(self, frame: int) -> Pose:
        """The pose: legs and arms swing, the body turns with its way."""
        _, change = self.x_at(frame)
        fastest = 2 * math.pi / self.period * self.reach
        share = change / fastest
        swing = math.sin(2 * math.pi * self.steps * frame) * abs(share)
        left, right = 26 * swing, -26 * swing
        return Pose(
            arms=tuple(
                (angle, 8.0, 20.0, 0.3, 0.1, 1.0) for angle in (right, left)
            ),
            legs=tuple(
                (angle, 3.0, 12 + 14 * max(-angle / 26, 0), 0.0)
                for angle in (left, right)
            ),
            view=(80 * share, 5.0, 0.0),
        )


def sample_walkers(
    rng: np.random.Generator, number: int, size: tuple[int, int]
) -> list[Walker]:
    """People whose ways cross, those behind first."""
    width, height = size
    walkers = []
    for _ in range(number):
        stature = rng.uniform(0.35, 0.65) * height
        walkers.append(
            Walker(
                sample_appearance(rng),
                stature,
                rng.uniform(max(stature, 0.6 * height), 0.97 * height),
                rng.uniform(0.3, 0.7) * width,
                rng.uniform(0.15, 0.4) * width,
                rng.uniform(130, 260),
                rng.uniform(0, 1),
                rng.uniform(0.03, 0.05),
            )
        )
    return sorted(walkers, key=lambda walker: walker.bottom)


def generate_frames(
    num_frames: int,
    num_people: int = 4,
    seed: int = 0,
    size: tuple[int, int] = (640, 480),
) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Yield frames (h, w, 3) with annotations that have ``track_id``."""
    rng = np.random.default_rng([seed, num_people])
    walkers = sample_walkers(rng, num_people, size)
    background = draw_background(rng, size)
    for frame in range(num_frames):
        scene, ids = Scene(background.copy()), []
        for number, walker in enumerate(walkers, 1):
            figure = draw_figure(
                walker.pose_at(frame),
                walker.look,
                walker.stature,
                (
                    walker.x_at(frame)[0],
                    walker.bottom - 0.49 * walker.stature,
                ),
                size,
                np.random.default_rng([seed, number]),  # the same cloth
            )
            if figure is not None:
                scene.add(figure)
                ids.append(number)
        annotations = [
            {**annotation, 'track_id': ids[index]}
            for index, annotation in scene_annotations(scene)
            if index is not None
        ]
        yield scene.image, annotations


def generate_video(
    root: str | Path,
    num_frames: int,
    num_people: int = 4,
    seed: int = 0,
    size: tuple[int, int] = (640, 480),
) -> Path:
    """Write a video and its annotations, in PoseTrack's layout.

    - ``videos/000001_generated.mp4``
    - ``annotations/val/000001_generated.json``: images with ``vid_id`` and
      ``frame_id``, people with ``track_id``; the joints are COCO's

    Raises:
        ValueError: A number or the size is too small.
        OSError: The video cannot be written.
    """
    if min(num_frames, num_people) < 1 or min(size) < 64 or seed < 0:
        raise ValueError(
            'a video needs at least one frame, one person and 64 pixels a '
            f'side, got {num_frames}, {num_people} and {size}'
        )
    root = Path(root)
    path = root / 'videos' / f'{_NAME}.mp4'
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), codec, FPS, tuple(size))
    if not writer.isOpened():
        raise OSError(f'the video {path} cannot be written')
    images, annotations = [], []
    frames = generate_frames(num_frames, num_people, seed, size)
    for frame, (image, people) in enumerate(frames):
        writer.write(image)
        image_id = 10000010000 + frame  # vid_id and frame, as PoseTrack's
        images.append(
            dict(
                id=image_id,
                file_name=f'images/val/{_NAME}/{frame:06d}.jpg',
                vid_id='000001',
                frame_id=image_id,
                nframes=num_frames,
                is_labeled=True,
                width=size[0],
                height=size[1],
            )
        )
        annotations += [{'image_id': image_id, **each} for each in people]
    writer.release()
    target = root / 'annotations' / 'val' / f'{_NAME}.json'
    write_annotations(target, images, annotations)
    return path
