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
from tqdm import tqdm

from ..errors import ConfigError
from ..files import read_json, write_atomically
from .coco_annotations import PERSON_CATEGORY, scene_annotations
from .person_detector import simulate_detections
from .scene import compose_scene


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
        ConfigError: A number, the size or ``workers`` is too small, or the
            folder holds something else.
    """
    if num_train < 0 or num_val < 0 or seed < 0:
        raise ConfigError(
            'num_train, num_val and seed must not be negative, got '
            f'{num_train}, {num_val} and {seed}'
        )
    if min(size) < 64:
        raise ConfigError(f'size must be at least (64, 64), got {size}')
    if workers is not None and workers < 1:
        raise ConfigError(f'workers must be at least 1, got {workers}')
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
            _write_annotations(folder, split, samples, record)
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


def _write_annotations(root, split, samples, record) -> None:
    images, annotations, detections = [], [], []
    for info, some_annotations, some_detections in samples:
        images.append(info)
        for annotation in some_annotations:
            annotations.append({'id': len(annotations) + 1, **annotation})
        detections += some_detections
    content = {
        'info': {'description': record['format'], **record},
        'licenses': [],
        'images': images,
        'annotations': annotations,
        'categories': [PERSON_CATEGORY],
    }
    for name, part in (
        (f'annotations/person_keypoints_{split}2017.json', content),
        (f'detections/{split}2017_person_detections.json', detections),
    ):
        write_atomically(root / name, json.dumps(part))
