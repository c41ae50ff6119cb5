"""AP against the size of the box errors: models on many sets of boxes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from ..coco.bootstrap import PairedDifference, paired_bootstrap
from ..coco.ground_truth import read_pose_set
from ..coco.keypoint_ap import PoseMatches, match_poses
from ..engine.hooks import GROUND_TRUTH
from ..errors import ConfigError
from ..files import read_json, write_atomically
from ..markdown import markdown_table
from .box_errors import AMPLIFICATION, perturb_boxes, read_people
from .runs import read_config
from .tool_runs import find_coco_metric, run_test

BBOX_FILE = 'test_dataloader.dataset.bbox_file'

# The sizes of each kind of error on a curve.
CURVES = {
    'shift': (0.0, 0.2, 0.4),
    'scale': (0.0, 0.667, 1.222),
    'truncation': (0.0, 0.3, 0.5),
    AMPLIFICATION: (1.0, 2.0, 3.0),
}
# What a size is.
UNITS = {
    'shift': 'shift / box side',
    'scale': 'larger side / smaller side - 1',
    'truncation': 'part cut off',
    AMPLIFICATION: "detector's error times",
}
SEED = 0  # of the resamples of the images


class CurvePoint(NamedTuple):
    """What a model reaches on boxes with errors of a kind and a size.

    Attributes:
        kind (str): The kind of error.
        size (float): Its size.
        score (float): COCO's AP, or MPII's Total.
        results_file (Path, optional): The keypoints, where they are COCO's.
    """

    kind: str
    size: float
    score: float
    results_file: Path | None = None

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
            the test; the first AP or Total that these give is the score.
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
        ConfigError: The config is missing, names no detections for a curve
            that amplifies their errors, or its evaluators give no score.
        RunFailedError: A test failed.
    """
    folder, options = Path(folder), dict(cfg_options or {})
    cfg = read_config(config, options)
    files = write_box_sets(cfg, folder / 'boxes', curves, seed)
    found = {}
    for path in dict.fromkeys(files.values()):
        run = run_test(
            config,
            checkpoint,
            folder / path.stem,
            {**options, BBOX_FILE: str(path)},
        )
        scores = [
            value
            for name, value in run.metrics.items()
            if name.endswith(('AP', '/Total'))
        ]
        if not scores:
            raise ConfigError(f'{config}: its evaluators give no AP or Total')
        found[path] = scores[0], run.results_file
    return [
        CurvePoint(kind, size, *found[path])
        for (kind, size), path in files.items()
    ]


def compared_table(
    curves: Mapping[str, Sequence[CurvePoint]], cfg: Config
) -> str:
    """Write the scores of models on all sets of boxes.

    Where the results are COCO's, each difference from the first model stands
    beside its 95% interval, a paired bootstrap over images.

    Args:
        curves (Mapping): The points of each model, by its name, on the same
            sets of boxes.
        cfg (Config): The config of one of them, with annotations of the test.
    """
    (first, *others) = curves.values()
    rows = []
    for points in zip(first, *others, strict=True):
        cells = [f'{point.score:.3f}' for point in points]
        for place, point in enumerate(points[1:], 1):
            found = _difference(point, points[0], cfg)
            if found:
                cells[place] += (
                    f' ({found.difference:+.3f}: {found.low:+.3f} to '
                    f'{found.high:+.3f})'
                )
        row = [points[0].boxes, points[0].kind, f'{points[0].size:g}', *cells]
        if row not in rows:
            rows.append(row)
    return markdown_table(['boxes', 'error', 'size', *curves], rows)


def _difference(
    point: CurvePoint, other: CurvePoint, cfg: Config
) -> PairedDifference | None:
    """How much better a point is, None where the results are not COCO's."""
    if point.results_file is None or other.results_file is None:
        return None
    _, metric = find_coco_metric(cfg)
    kind = DATASETS.get(cfg.test_dataloader.dataset.type)
    sigmas = parse_pose_metainfo(kind.METAINFO)['sigmas']

    def matches(results_file: Path) -> PoseMatches:
        poses = read_pose_set(metric['ann_file'], results_file, len(sigmas))
        return match_poses(poses, sigmas)

    return paired_bootstrap(
        matches(point.results_file),
        matches(other.results_file),
        np.random.default_rng(SEED),
    )


def doubling_summary(curves: Mapping[str, Sequence[CurvePoint]]) -> str:
    """Say what models lose from 1 to 2 times the detector's errors.

    The loss of each is compared with the first one's.
    """
    losses = {}
    for name, points in curves.items():
        by_size = {p.size: p.score for p in points if p.kind == AMPLIFICATION}
        losses[name] = by_size[1.0] - by_size[2.0]
    plain, *_ = losses.values()
    parts = [
        f'{name} loses {loss:.3f}'
        + (f' ({loss / plain:.2f} of the first)' if plain > 0 else '')
        for name, loss in losses.items()
    ]
    return f"When box errors double from the detector's, {', '.join(parts)}."


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


def draw_curves(curves: Mapping[str, Sequence[CurvePoint]]) -> Figure:
    """Draw AP against the size of the error, a panel a kind."""
    figure = Figure(figsize=(3.4 * len(UNITS), 3.4), layout='constrained')
    all_axes = figure.subplots(1, len(UNITS), sharey=True)
    for axes, kind in zip(all_axes, UNITS, strict=True):
        for name, points in curves.items():
            line = [(p.size, p.score) for p in points if p.kind == kind]
            axes.plot(*zip(*line, strict=True), 'o-', label=name)
        axes.set_title(kind)
        axes.set_xlabel(UNITS[kind])
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel('AP')
    all_axes[0].set_ylim(bottom=0)
    all_axes[0].legend(loc='lower left')
    return figure
