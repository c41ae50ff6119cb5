"""Writing the embedded data set: pictures, annotations and detections."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from mmpose.evaluation.functional import nms
from tqdm import tqdm

from ..errors import ConfigError
from ..files import read_json, write_atomically
from .coco_annotations import scene_annotations, write_annotations
from .figure import Figure
from .scene import Scene, compose_scene

# Boxes of one person that the detector's own NMS leaves, as with YOLOX-nano.
NMS_IOU = 0.65
MIN_SCORE = 0.02


def limb_reach(figure: Figure, bbox_xyxy: np.ndarray) -> np.ndarray:
    """Pixels (4,) from the sides of the seen box inwards to head and trunk."""
    core = np.asarray(figure.core)
    inwards = np.array([1, 1, -1, -1])
    size = bbox_xyxy[2:] - bbox_xyxy[:2]
    return np.clip((core - bbox_xyxy) * inwards, 0, np.tile(size, 2))


def _person_boxes(rng, figure, bbox_xyxy, seen_share):
    """Boxes of a person and their scores, best first."""
    size = bbox_xyxy[2:] - bbox_xyxy[:2]
    side = float(np.sqrt(size.prod()))
    found = 0.98 - 0.75 * np.exp(-side / 22) - 0.6 * max(0.45 - seen_share, 0)
    if rng.random() > found:
        return np.zeros((0, 5))
    count = 1 + int(rng.poisson(1.6))
    reach = limb_reach(figure, bbox_xyxy)
    # Limbs that stick out are lost, legs less than arms: a share of the
    # reach, different for each side, much the same for all of one person's
    # boxes; noise on top.
    lost = rng.beta(0.9, (2.6, 2.2, 2.6, 4.0))
    lost = np.clip(lost + rng.normal(0, 0.08, (count, 4)), 0, 1)
    noise = rng.normal(0, 1, (count, 4)) * (0.045 + 1.2 / max(side, 12))
    spread = 1 + 0.7 * np.arange(count)[:, None]
    shift = lost * reach * (1, 1, -1, -1)
    boxes = bbox_xyxy + shift + noise * spread * np.tile(size, 2)
    if rng.random() < 0.10 and size[1] > 60:  # the upper half alone
        boxes[-1, 3] = boxes[-1, 1] + rng.uniform(0.4, 0.65) * size[1]
    error = np.abs(boxes - bbox_xyxy).sum(1) / size.sum()
    quality = 2.6 - 4.5 * error - 30 / (side + 8) + 1.5 * (seen_share - 1)
    logits = quality - 0.35 * np.arange(count) + rng.normal(0, 0.7, count)
    scores = 1 / (1 + np.exp(-logits))
    return np.concatenate([boxes, scores[:, None]], 1)


def _false_boxes(rng, image_size):
    count = int(rng.poisson(0.8))
    height = np.exp(rng.uniform(np.log(25), np.log(300), count))
    width = height * rng.uniform(0.25, 1.1, count)
    centre = rng.uniform(0, image_size, (count, 2))
    half = np.stack([width, height], 1) / 2
    scores = rng.beta(1.1, 7, count)[:, None]
    return np.concatenate([centre - half, centre + half, scores], 1)


def _merged_boxes(rng, boxes):
    """Boxes around two people who overlap."""
    merged = []
    for i in range(len(boxes)):
        for j in range(i):
            low = np.maximum(boxes[i, :2], boxes[j, :2])
            high = np.minimum(boxes[i, 2:], boxes[j, 2:])
            if (high - low > 4).all() and rng.random() < 0.15:
                around = np.concatenate(
                    [
                        np.minimum(boxes[i, :2], boxes[j, :2]),
                        np.maximum(boxes[i, 2:], boxes[j, 2:]),
                    ]
                )
                merged.append([*around, rng.uniform(0.1, 0.55)])
    return np.reshape(merged, (-1, 5))


def simulate_detections(
    rng: np.random.Generator, scene: Scene, bboxes_xywh: dict[int, list]
) -> np.ndarray:
    """Boxes as a weak detector gives them: x1, y1, x2, y2, score, (N, 5).

    More surely of large, well seen people; sides with limbs that stick out are
    drawn in, so that errors depend on the pose; scores fall with the error.
    False positives, boxes around two people and halves are among them.
    """
    height, width = scene.owners.shape
    groups = [_false_boxes(rng, (width, height))]
    truth = []
    for index, bbox in bboxes_xywh.items():
        bbox_xyxy = np.array([*bbox[:2], bbox[0] + bbox[2], bbox[1] + bbox[3]],
                             float)  # fmt: skip
        truth.append(bbox_xyxy)
        figure = scene.people[index]
        whole = max(int((figure.parts > 0).sum()), 1)
        seen = int((scene.owners == index + 1).sum())
        groups.append(_person_boxes(rng, figure, bbox_xyxy, seen / whole))
    if truth:
        groups.append(_merged_boxes(rng, np.array(truth)))
    boxes = np.concatenate(groups)
    boxes[:, :4] = np.clip(boxes[:, :4], 0, [width, height, width, height])
    sides = boxes[:, 2:4] - boxes[:, :2]
    boxes = boxes[(sides.min(1) >= 6) & (boxes[:, 4] >= MIN_SCORE)]
    if not len(boxes):
        return boxes
    boxes = boxes[np.argsort(-boxes[:, 4], kind='stable')]
    return boxes[nms(boxes, NMS_IOU)]


def usable_cores() -> int:
    """Return the cores that this process may use, often not all."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Raised whenever the same seed gives other pictures.
VERSION = 2
SPLITS = ('train', 'val')
_RECORD = 'generator.json'
_FORMAT = 'rmpe_spm generated people'
_CHUNK = 16


def generate_sample(
    split: str, number: int, seed: int, size: tuple[int, int] = (640, 480)
) -> tuple[np.ndarray, list[dict[str, Any]], list[dict[str, Any]]]:
    """Generate one picture with its annotations and detections.

    Pictures of the splits 'train' and 'val' never agree. Annotations have no
    ``id``, detections are COCO results.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    scene = compose_scene(rng, size)
    annotations, bboxes = [], {}
    for index, annotation in scene_annotations(scene):
        annotations.append({'image_id': number, **annotation})
        if index is not None:
            bboxes[index] = annotation['bbox']
    found = simulate_detections(rng, scene, bboxes)
    found[:, 2:4] -= found[:, :2]
    detections = [
        {
            'image_id': number,
            'category_id': 1,
            'bbox': [round(float(v), 2) for v in row[:4]],
            'score': round(float(row[4]), 4),
        }
        for row in found
    ]
    return scene.image, annotations, detections


def _write_sample(number, split, seed, size, folder):
    """Write one picture; its entries in the annotation files."""
    image, annotations, detections = generate_sample(split, number, seed, size)
    name = f'{number:012d}.jpg'
    quality = 80 + number % 16
    path = folder / name
    if not cv2.imwrite(str(path), image, (cv2.IMWRITE_JPEG_QUALITY, quality)):
        raise OSError(f'{path} cannot be written: is the disk full?')
    info = dict(id=number, file_name=name, width=size[0], height=size[1])
    return info, annotations, detections


def generate_dataset(
    root: str | Path,
    num_train: int,
    num_val: int,
    seed: int = 0,
    size: tuple[int, int] = (640, 480),
    *,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write the data set in COCO's layout.

    - ``train2017/``, ``val2017/``: the pictures
    - ``annotations/person_keypoints_{train,val}2017.json``
    - ``detections/{train,val}2017_person_detections.json``
    - ``generator.json``: how it was made

    The same arguments give the same files, whatever the number of workers;
    the first pictures of a larger data set are those of a smaller one. The
    folder is there once all of it is written; a data set with the same
    arguments is left as it is.

    Args:
        root (str | Path): The folder; made if missing.
        num_train (int): Number of training pictures.
        num_val (int): Number of validation pictures.
        seed (int): Seed. Defaults to 0.
        size (tuple): Width and height in pixels. Defaults to (640, 480).
        workers (int, optional): Processes. Defaults to None: one for each core
            that this process may use.
        progress (bool): Whether to show a bar. Defaults to True.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A number or the size is too small, or the folder holds
            something else.
    """
    if num_train < 0 or num_val < 0 or seed < 0:
        raise ConfigError(
            'num_train, num_val and seed must not be negative, got '
            f'{num_train}, {num_val} and {seed}'
        )
    if min(size) < 64:
        raise ConfigError(f'size must be at least (64, 64), got {size}')
    record = {
        'format': _FORMAT,
        'version': VERSION,
        'seed': seed,
        'size': list(size),
        'num_train': num_train,
        'num_val': num_val,
    }
    root = Path(root)
    target = root.resolve()
    if target.exists() and any(target.iterdir()):
        if _read_record(root) == record:
            return root
        names = ', '.join(sorted(path.name for path in root.iterdir())[:3])
        raise ConfigError(
            f'{root} holds something other than the data set that is asked '
            f'for ({names}): give a new folder, or move that away'
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # Where this is interrupted, nothing is left of it.
    with TemporaryDirectory(dir=target.parent) as made:
        folder = Path(made) / target.name
        for split, count in zip(SPLITS, (num_train, num_val), strict=True):
            pictures = folder / f'{split}2017'
            pictures.mkdir(parents=True)
            write = partial(
                _write_sample,
                split=split,
                seed=seed,
                size=size,
                folder=pictures,
            )
            bar = partial(
                tqdm,
                total=count,
                desc=f'{split} pictures',
                unit='img',
                disable=not progress,
            )
            cores = workers or usable_cores()
            samples = _in_processes(write, count, cores, bar)
            images, people, boxes = [], [], []
            for info, some_people, some_boxes in samples:
                images.append(info)
                people += some_people
                boxes += some_boxes
            write_annotations(
                folder / f'annotations/person_keypoints_{split}2017.json',
                images,
                people,
                info={'description': record['format'], **record},
                licenses=[],
            )
            write_atomically(
                folder / f'detections/{split}2017_person_detections.json',
                json.dumps(boxes),
            )
        write_atomically(folder / _RECORD, json.dumps(record, indent=1))
        if target.exists():
            target.rmdir()
        folder.rename(target)
    return root


def _read_record(root: Path) -> dict | None:
    """Read how a data set was made, None where that is not known."""
    try:
        return read_json(root / _RECORD)
    except (OSError, ConfigError):
        return None


def _in_processes(
    write: Callable, count: int, workers: int, bar: Callable
) -> Iterator[tuple[dict, list, list]]:
    """Write the pictures from number 1 on; their entries, in order."""
    numbers = range(1, count + 1)
    if workers == 1 or count <= _CHUNK:
        yield from bar(map(write, numbers))
        return
    # Forked workers start at once; elsewhere they import the package anew.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context(
        'fork' if 'fork' in methods else None
    )
    threads = cv2.getNumThreads()
    # Forked workers would wait for OpenCV's threads for ever.
    cv2.setNumThreads(1)
    try:
        with ProcessPoolExecutor(
            workers, context, initializer=cv2.setNumThreads, initargs=(1,)
        ) as pool:
            try:
                yield from bar(pool.map(write, numbers, chunksize=_CHUNK))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        cv2.setNumThreads(threads)
