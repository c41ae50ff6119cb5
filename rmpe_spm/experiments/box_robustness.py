"""AP against the size of the box errors, one model on many sets of boxes."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..cli.preflight import check_weights
from ..engine.hooks import GROUND_TRUTH
from ..errors import ConfigError
from .box_perturbation import AMPLIFICATION, read_people, write_perturbed_boxes
from .runs import find_inputs, read_config

BBOX_FILE = 'test_dataloader.dataset.bbox_file'

# The sizes of each kind of error; see structures/box_errors.py.
CURVES = {
    'shift': (0.0, 0.1, 0.2, 0.3, 0.4),
    'scale': (0.0, 0.1, 0.25, 0.5, 1.0),
    'truncation': (0.0, 0.1, 0.2, 0.3, 0.4),
    AMPLIFICATION: (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
}


@dataclass(frozen=True)
class CurvePoint:
    """What a model reaches on boxes with errors of one size.

    Attributes:
        kind (str): The kind of error.
        size (float): Its size.
        metrics (dict): What the config's evaluators found.
    """

    kind: str
    size: float
    metrics: dict[str, float]

    @property
    def boxes(self) -> str:
        """What the errors were given to."""
        return 'detections' if self.kind == AMPLIFICATION else GROUND_TRUTH


def evaluate_on_boxes(
    cfg: Config, checkpoint: str | Path, bbox_files: Sequence[str | Path]
) -> Iterator[dict[str, float]]:
    """Evaluate a checkpoint on several sets of boxes, loading it once.

    The metrics are those of ``tools/test.py`` with
    ``test_dataloader.dataset.bbox_file`` set to each file.

    Args:
        cfg (Config): A top-down model with data and evaluators of the test.
        checkpoint (str | Path): The trained weights.
        bbox_files (Sequence): The boxes, COCO results.

    Yields:
        dict[str, float]: The metrics on the boxes of each file in turn.

    Raises:
        ConfigError: The checkpoint is of another model.
    """
    cfg = deepcopy(cfg)
    cfg.load_from, cfg.resume = str(checkpoint), False
    # mmengine keeps global state by this name; its own is to the second.
    cfg.experiment_name = f'boxes_{time.time_ns()}'
    runner = Runner.from_cfg(cfg)
    check_weights(runner.model, cfg.load_from)
    loop = runner.test_loop
    runner.call_hook('before_run')
    runner.load_or_resume()
    for path in bbox_files:
        loader = deepcopy(cfg.test_dataloader)
        loader.dataset.bbox_file = str(path)
        loop.dataloader = runner.build_dataloader(loader, seed=runner.seed)
        loop.evaluator = runner.build_evaluator(deepcopy(cfg.test_evaluator))
        loop.evaluator.dataset_meta = loop.dataloader.dataset.metainfo
        yield loop.run()
    runner.call_hook('after_run')


def box_curves(
    config: str | Path,
    checkpoint: str | Path,
    folder: str | Path,
    curves: Mapping[str, Sequence[float]] = CURVES,
    seed: int = 0,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[CurvePoint]:
    """Evaluate a checkpoint on boxes with errors of many sizes.

    The boxes come from the annotations and the detections of the config's
    test. They are written to the folder, and so are the metrics, after each
    set of boxes: what is there already, for the same settings, weights and
    boxes, is not evaluated again.

    Args:
        config (str | Path): A top-down model with data and evaluators of
            the test.
        checkpoint (str | Path): The trained weights.
        folder (str | Path): For the boxes and ``curves.json``; it is made.
        curves (Mapping): The sizes of each kind of error. Defaults to
            ``CURVES``.
        seed (int): The seed of the errors' directions. Defaults to 0.
        cfg_options (Mapping, optional): Settings that override the config,
            by dotted key. Defaults to None.

    Returns:
        list[CurvePoint]: A point for each size of each kind.

    Raises:
        ConfigError: The config is missing, or names no detections for a
            curve that amplifies their errors.
    """
    folder, options = Path(folder), dict(cfg_options or {})
    cfg = read_config(config, options)
    cfg.work_dir = str(folder)
    files = write_box_sets(cfg, folder / 'boxes', curves, seed)
    options['load_from'] = str(checkpoint)
    inputs = {
        path: find_inputs(config, {**options, BBOX_FILE: str(path)})
        for path in files.values()
    }
    state_file = folder / 'curves.json'
    state = {}
    if state_file.is_file():
        state = json.loads(state_file.read_text(encoding='utf-8'))
    found = {
        path: state[path.name]['metrics']
        for path in inputs
        if state.get(path.name, {}).get('inputs') == inputs[path]
    }
    missing = [path for path in inputs if path not in found]
    metrics = evaluate_on_boxes(cfg, checkpoint, missing) if missing else ()
    for path, values in zip(missing, metrics, strict=True):
        found[path] = values
        state[path.name] = dict(inputs=inputs[path], metrics=values)
        part = state_file.with_suffix('.part')
        part.write_text(json.dumps(state, indent=1), encoding='utf-8')
        part.replace(state_file)
        print(f'{folder}: {path.stem} done', flush=True)
    return [
        CurvePoint(kind, size, found[path])
        for (kind, size), path in files.items()
    ]


def write_box_sets(
    cfg: Config,
    folder: str | Path,
    curves: Mapping[str, Sequence[float]] = CURVES,
    seed: int = 0,
) -> dict[tuple[str, float], Path]:
    """Write boxes with errors of many sizes, from the data of a test.

    Args:
        cfg (Config): Names annotations and detections in its
            ``test_dataloader``.
        folder (str | Path): Where to.
        curves (Mapping): The sizes of each kind of error. Defaults to
            ``CURVES``.
        seed (int): The seed of the errors' directions. Defaults to 0.

    Returns:
        dict: The file of each kind and size. Size 0 is the annotated boxes,
        one file for all kinds that start from them.

    Raises:
        ConfigError: The config names no detections where they are needed, or
            there are no annotations.
    """
    dataset = cfg.test_dataloader.dataset
    detections = dataset.get('bbox_file')
    if AMPLIFICATION in curves and not detections:
        raise ConfigError(
            'test_dataloader.dataset.bbox_file is not set: the curve that '
            "amplifies a detector's errors needs its boxes"
        )
    people = read_people(dataset)
    files = {}
    for kind, sizes in curves.items():
        source = detections if kind == AMPLIFICATION else None
        for size in sizes:
            name = f'{kind}_{size:g}.json'
            if size == 0 and source is None:
                name = 'annotated.json'
            path = Path(folder) / name
            if path not in files.values():
                write_perturbed_boxes(path, people, kind, size, source, seed)
            files[kind, float(size)] = path
    return files
