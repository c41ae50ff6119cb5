"""Training and test runs with a seed, each done once.

A run is ``tools/train.py`` or ``tools/test.py`` in a process of its own, and
its command is printed, so that it can be repeated by hand. The work directory
remembers in ``run.json`` what the run was made of. A finished run of the same
inputs is not repeated, an interrupted training goes on from its last
checkpoint, and a run of other inputs is moved aside.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.checkpoint import CorruptCheckpointError, load_from_local
from .config_options import as_arguments
from .run_folder import RunFailedError, RunFolder
from .run_inputs import find_coco_metric, find_inputs, read_config


@dataclass(frozen=True)
class TrainingRun:
    """A finished training.

    Attributes:
        checkpoint (Path): The last checkpoint.
        log (Path): What the run printed.
        seconds (float): How long it took, over all its sessions.
    """

    checkpoint: Path
    log: Path
    seconds: float


@dataclass(frozen=True)
class TestRun:
    """A finished test.

    Attributes:
        metrics (dict): What the config's evaluators found, and ``boxes``,
            where people's boxes came from.
        results_file (Path, optional): The keypoints as COCO results; None if
            no evaluator writes them.
        log (Path): What the run printed.
        seconds (float): How long it took.
    """

    __test__ = False  # not for pytest

    metrics: dict[str, float | str]
    results_file: Path | None
    log: Path
    seconds: float


def run_training(
    config: str | os.PathLike,
    work_dir: str | os.PathLike,
    seed: int = 0,
    cfg_options: Mapping[str, Any] | None = None,
    load_from: str | os.PathLike | None = None,
    validate: bool = True,
) -> TrainingRun:
    """Train, unless a finished run of the same inputs is in the folder.

    The inputs are the config with its options, the seed, and the content of
    the files that the config names (annotations, weights). The code and the
    images do not count.

    Args:
        config (str | PathLike): The config.
        work_dir (str | PathLike): The run's folder, for this run only.
        seed (int): ``randomness.seed``. Defaults to 0.
        cfg_options (mapping, optional): Settings that override the config,
            by dotted key. Defaults to None.
        load_from (str | PathLike, optional): Weights to start from. Defaults
            to None.
        validate (bool): Whether to evaluate while training. Defaults to
            True.

    Returns:
        TrainingRun: The last checkpoint, with log and time.

    Raises:
        ConfigError: The config cannot be read.
        RunFailedError: The training failed.
    """
    options = {'randomness.seed': seed, **(cfg_options or {})}
    weights = {'load_from': str(load_from)} if load_from else {}
    inputs = find_inputs(config, {**options, **weights})
    run = RunFolder(
        Path(work_dir), dict(inputs, validate=validate), 'train.log'
    )
    outcome = run.outcome('checkpoint')
    if outcome is None:
        arguments = [str(config), '--work-dir', str(work_dir)]
        arguments += [] if validate else ['--no-validate']
        checkpoint = _readable_checkpoint(run.folder)
        if checkpoint is None:
            options.update(weights)
        else:
            # Not load_from: as an option it would win over --resume.
            arguments += ['--resume', str(checkpoint)]
        arguments += _option_arguments(options)
        run.start('train.py', arguments, resumes=checkpoint is not None)
        checkpoint = last_checkpoint(run.folder)
        if checkpoint is None:
            raise RunFailedError(f'{config} saved no checkpoint: {run.log}')
        outcome = run.finish(checkpoint=checkpoint.name)
    return TrainingRun(
        run.folder / outcome['checkpoint'], run.log, outcome['seconds']
    )


def run_test(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    work_dir: str | os.PathLike,
    cfg_options: Mapping[str, Any] | None = None,
) -> TestRun:
    """Evaluate a checkpoint, unless the folder has the result already.

    Args:
        config (str | PathLike): The config.
        checkpoint (str | PathLike): The trained weights.
        work_dir (str | PathLike): The run's folder, for this run only.
        cfg_options (mapping, optional): Settings that override the config,
            by dotted key. Defaults to None.

    Returns:
        TestRun: The metrics, the results file, log and time.

    Raises:
        ConfigError: The config cannot be read.
        RunFailedError: The test failed.
    """
    folder = Path(work_dir)
    options = dict(cfg_options or {})
    inputs = find_inputs(config, {**options, 'load_from': str(checkpoint)})
    run = RunFolder(folder, inputs, 'test.log')
    outcome = run.outcome('metrics_file', 'results_file')
    if outcome is None:
        place, metric = find_coco_metric(read_config(config, options))
        if metric:
            options[f'{place}.outfile_prefix'] = str(folder / 'results')
        arguments = [str(config), str(checkpoint), '--work-dir', str(folder)]
        arguments += ['--out', str(folder / 'metrics.json')]
        run.start('test.py', [*arguments, *_option_arguments(options)])
        outcome = run.finish(
            metrics_file='metrics.json',
            results_file='results.keypoints.json' if metric else None,
        )
    metrics = json.loads((folder / outcome['metrics_file']).read_text())
    results = outcome['results_file']
    return TestRun(
        metrics, results and folder / results, run.log, outcome['seconds']
    )


def last_checkpoint(work_dir: Path) -> Path | None:
    """Return the checkpoint that a training in the folder wrote last.

    Args:
        work_dir (Path): The folder; it may have been moved since.

    Returns:
        Path | None: The checkpoint, None without one.
    """
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        return None
    path = work_dir / Path(pointer.read_text(encoding='utf-8').strip()).name
    return path if path.is_file() else None


def _option_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as the tools' command line takes them."""
    return ['--cfg-options', *as_arguments(options)] if options else []


def _readable_checkpoint(work_dir: Path) -> Path | None:
    """A checkpoint to go on from: the last, unless it was cut off."""
    checkpoint = last_checkpoint(work_dir)
    if checkpoint is None:
        return None
    try:
        load_from_local(str(checkpoint), map_location='cpu')
    except CorruptCheckpointError as error:
        print(f'{error}\nTraining starts anew.', flush=True)
        return None
    return checkpoint
