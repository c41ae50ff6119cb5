"""AP against the size of the box errors: one model on many sets of boxes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from ..engine.hooks import GROUND_TRUTH
from ..errors import ConfigError
from ..files import read_json, write_atomically
from ..markdown import markdown_table, over_seeds
from .box_errors import AMPLIFICATION, perturb_boxes, read_people
from .runs import read_config
from .tool_runs import run_test

BBOX_FILE = 'test_dataloader.dataset.bbox_file'

# The sizes of each kind of error on a curve.
CURVES = {
    'shift': (0.0, 0.1, 0.2, 0.3, 0.4),
    'scale': (0.0, 0.1, 0.25, 0.5, 1.0),
    'truncation': (0.0, 0.1, 0.2, 0.3, 0.4),
    AMPLIFICATION: (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
}
# What a size is.
UNITS = {
    'shift': 'shift / box side',
    'scale': 'larger side / smaller side - 1',
    'truncation': 'part cut off',
    AMPLIFICATION: "detector's error times",
}

# AP of several seeds by kind and size of the error, by the model's name.
Curves = Mapping[str, Sequence[Mapping[tuple[str, float], float]]]


class CurvePoint(NamedTuple):
    """What a model reaches on boxes with errors of a kind and a size."""

    kind: str
    size: float
    metrics: dict[str, float | str]

    @property
    def boxes(self) -> str:
        """What the errors were given to."""
        return 'detections' if self.kind == AMPLIFICATION else GROUND_TRUTH


def box_curves(
    config: str | Path,
    checkpoint: str | Path,
    folder: str | Path,
    curves: Mapping[str, Sequence[float]] = CURVES,
    seed: int = 0,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[CurvePoint]:
    """Test a checkpoint on boxes with errors of many sizes.

    The boxes come from the annotations and the detections of the config's
    test. Each set of them is a :func:`.run_test`, so what is finished in the
    folder is not tested again.

    Args:
        config (str | Path): A top-down model with data and evaluators of
            the test.
        checkpoint (str | Path): The trained weights.
        folder (str | Path): For the boxes, and a folder for each set of them.
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
        RunFailedError: A test failed.
    """
    folder, options = Path(folder), dict(cfg_options or {})
    cfg = read_config(config, options)
    files = write_box_sets(cfg, folder / 'boxes', curves, seed)
    metrics = {
        path: run_test(
            config,
            checkpoint,
            folder / path.stem,
            {**options, BBOX_FILE: str(path)},
        ).metrics
        for path in dict.fromkeys(files.values())
    }
    return [
        CurvePoint(kind, size, metrics[path])
        for (kind, size), path in files.items()
    ]


def write_box_sets(
    cfg: Config,
    folder: Path,
    curves: Mapping[str, Sequence[float]] = CURVES,
    seed: int = 0,
) -> dict[tuple[str, float], Path]:
    """Write boxes with errors of many sizes, from the data of a test.

    Returns the file of each kind and size. Size 0 is the annotated boxes, one
    file for all kinds that start from them.

    Raises:
        ConfigError: The config names no detections where they are needed, or
            there are no annotations.
    """
    dataset = cfg.test_dataloader.dataset
    detections = None
    if AMPLIFICATION in curves:
        if not dataset.get('bbox_file'):
            raise ConfigError(
                f'{BBOX_FILE} is not set: the curve that amplifies a '
                "detector's errors needs its boxes"
            )
        detections = read_json(dataset.bbox_file)
    people = read_people(dataset)
    files = {}
    for kind, sizes in curves.items():
        source = detections if kind == AMPLIFICATION else None
        for size in sizes:
            name = f'{kind}_{size:g}.json'
            if size == 0 and source is None:
                name = 'annotated.json'
            path = folder / name
            if path not in files.values():
                boxes = perturb_boxes(people, kind, size, source, seed)
                write_atomically(path, json.dumps(boxes))
            files[kind, float(size)] = path
    return files


def curve_tables(curves: Curves) -> str:
    """Write AP by the size of the error, a Markdown table a kind."""
    tables = []
    for kind in UNITS:
        rows = [
            [
                f'{size:g}',
                *(
                    over_seeds([r[kind, size] for r in c])
                    for c in curves.values()
                ),
            ]
            for size in _sizes(curves, kind)
        ]
        tables.append(markdown_table([UNITS[kind], *curves], rows))
    return '\n'.join(tables)


def doubling_summary(curves: Curves) -> str:
    """Say what AP two models lose from 1 to 2 times the detector's errors.

    The first is the plain model, with whose loss the other's is compared.
    """
    losses = {
        name: [r[AMPLIFICATION, 1.0] - r[AMPLIFICATION, 2.0] for r in results]
        for name, results in curves.items()
    }
    parts = [f'{n} loses {over_seeds(v)} AP' for n, v in losses.items()]
    text = f"When box errors double from the detector's, {', '.join(parts)}"
    plain, other = map(mean, losses.values())
    if plain > 0:
        text += f': {other / plain:.2f} of what the plain model loses'
    return text + '.'


def draw_curves(curves: Curves) -> Figure:
    """Draw AP against the size of the error, a panel a kind.

    Lines are means over the seeds, bands their standard deviation.
    """
    figure = Figure(figsize=(3.4 * len(UNITS), 3.4), layout='constrained')
    all_axes = figure.subplots(1, len(UNITS), sharey=True)
    for axes, kind in zip(all_axes, UNITS, strict=True):
        sizes = _sizes(curves, kind)
        for name, results in curves.items():
            values = [[run[kind, size] for run in results] for size in sizes]
            means = np.array([mean(v) for v in values])
            (line,) = axes.plot(sizes, means, 'o-', label=name)
            if len(results) > 1:
                spread = np.array([stdev(v) for v in values])
                look = dict(color=line.get_color(), alpha=0.2, linewidth=0)
                axes.fill_between(
                    sizes, means - spread, means + spread, **look
                )
        if kind == AMPLIFICATION:
            axes.axvline(1, color='grey', linewidth=0.8, linestyle=':')
        axes.set_title(kind)
        axes.set_xlabel(UNITS[kind])
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel('AP')
    all_axes[0].set_ylim(bottom=0)
    all_axes[0].legend(loc='lower left')
    return figure


def _sizes(curves: Curves, kind: str) -> list[float]:
    """The sizes of a kind of error that all curves have points at."""
    results = next(iter(curves.values()))
    return [size for each, size in results[0] if each == kind]
