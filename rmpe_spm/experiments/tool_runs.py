"""Trainings and tests by the tools, each in a process and a folder."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mmengine.config import Config
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS

from ..cli.arguments import as_arguments, is_a
from ..engine.checkpoint import newest_checkpoint
from ..errors import RunFailedError
from ..files import read_json
from .runs import RunFolder, find_inputs, read_config

RESULTS = 'results.keypoints.json'
TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def find_coco_metric(cfg: Config) -> tuple[str, dict | None]:
    """Return the COCO metric's place, as an option names it, and settings."""
    evaluators = cfg.get('test_evaluator') or []
    single = isinstance(evaluators, dict)
    for index, metric in enumerate([evaluators] if single else evaluators):
        if is_a(metric.get('type'), METRICS, CocoMetric):
            return f'test_evaluator{"" if single else f".{index}"}', metric
    return '', None


@dataclass(frozen=True)
class TrainingRun:
    """A finished training: its last checkpoint, the time of all attempts."""

    checkpoint: Path
    seconds: float


@dataclass(frozen=True)
class TestRun:
    """A finished test: metrics, the keypoints as COCO results if written."""

    __test__ = False  # not for pytest

    metrics: dict[str, float | str]
    results_file: Path | None
    seconds: float


def run_training(
    config: str | os.PathLike,
    work_dir: str | os.PathLike,
    seed: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    load_from: str | os.PathLike | None = None,
    arguments: Sequence[str] = (),
) -> TrainingRun:
    """Train by ``tools/train.py``, unless that was finished in the folder.

    A training that was interrupted goes on from its newest checkpoint that
    loads.
    ``arguments`` are more of the tool's command line.

    Raises:
        ConfigError: The config cannot be read.
        RunFailedError: The training failed.
    """
    seeds = {} if seed is None else {'randomness.seed': seed}
    options = {**seeds, **(cfg_options or {})}
    weights = {'load_from': str(load_from)} if load_from else {}
    inputs = find_inputs(config, {**options, **weights})
    run = RunFolder(work_dir, dict(inputs, arguments=list(arguments)))
    outcome = _finished(run)
    if outcome is None:
        command = [str(config), '--work-dir', str(work_dir), *arguments]
        checkpoint = newest_checkpoint(run.folder)
        if checkpoint is None:
            options.update(weights)
        else:
            # Not load_from: as an option it would win over --resume.
            command += ['--resume', str(checkpoint)]
        command += _option_arguments(options)
        with run.attempt(resumes=checkpoint is not None):
            log = _run_tool('train.py', command, run.folder / 'train.log')
            checkpoint = newest_checkpoint(run.folder)
            if checkpoint is None:
                raise RunFailedError(f'{config} saved no checkpoint: {log}')
        outcome = run.finish([checkpoint.name])
    return TrainingRun(run.folder / outcome['files'][0], outcome['seconds'])


def run_test(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    work_dir: str | os.PathLike,
    cfg_options: Mapping[str, Any] | None = None,
) -> TestRun:
    """Evaluate by ``tools/test.py``, unless the folder has the result."""
    options = dict(cfg_options or {})
    inputs = find_inputs(config, {**options, 'load_from': str(checkpoint)})
    run = RunFolder(work_dir, inputs)
    outcome = _finished(run)
    if outcome is None:
        place, metric = find_coco_metric(read_config(config, options))
        if metric:
            prefix = run.folder / RESULTS.removesuffix('.keypoints.json')
            options[f'{place}.outfile_prefix'] = str(prefix)
        found = run.folder / 'metrics.json'
        command = [str(config), str(checkpoint), '--work-dir', str(work_dir)]
        command += ['--out', str(found), *_option_arguments(options)]
        with run.attempt():
            _run_tool('test.py', command, run.folder / 'test.log')
        outcome = run.finish(
            [RESULTS] if metric else [], metrics=read_json(found)
        )
    results = [run.folder / name for name in outcome['files']]
    return TestRun(
        outcome['metrics'], results[0] if results else None, outcome['seconds']
    )


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """End the process as a tool does that goes on when it is called again.

    ``kill`` and schedulers end it, and its runs, as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print(
            '\nInterrupted: the same command goes on from here.',
            file=sys.stderr,
        )
        sys.exit(130)


def _finished(run: RunFolder) -> dict | None:
    """The outcome of a finished run, which is said."""
    outcome = run.outcome()
    if outcome is not None:
        print(f'{run.folder} is finished.', flush=True)
    return outcome


def _option_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as the tools' command line takes them."""
    return ['--cfg-options', *as_arguments(options)] if options else []


def _run_tool(tool: str, arguments: list[str], log_file: Path) -> Path:
    """Run a tool, show its progress, and append its output to the log."""
    command = [str(TOOLS / tool), *arguments]
    # Runs may be side by side.
    name = f'{log_file.parent.parent.name}/{log_file.parent.name}'
    print(f'$ python {shlex.join(command)}\n  log: {log_file}', flush=True)
    with (
        log_file.open('a', encoding='utf-8') as log,
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
        ) as process,
    ):
        log.write(f'$ python {shlex.join(command)}\n')
        try:
            for line in process.stdout:
                log.write(line)
                progress = re.search(r'Epoch\((?:train|val|test)\).*', line)
                if progress:
                    text = re.sub(r'\s+', ' ', progress[0])
                    print(f'  {name}: {text[:150]}', flush=True)
        except BaseException:
            process.terminate()  # it may have heard of Ctrl-C, or not
            process.wait()
            raise
    if process.returncode:
        tail = log_file.read_text(encoding='utf-8').splitlines()[-15:]
        raise RunFailedError(
            '\n'.join(tail) + f'\n{tool} ended with exit code '
            f'{process.returncode}; its log is {log_file}'
        )
    return log_file
