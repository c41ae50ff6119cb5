"""A run of a tool and the folder that remembers it."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..cli.arguments import apply_options, as_arguments, read_config_file
from ..engine.checkpoint import load_from_local
from ..errors import ConfigError, CorruptCheckpointError, RunFailedError


def read_config(
    config: str | os.PathLike, options: Mapping[str, Any]
) -> Config:
    """Read a config and apply options as the tools do.

    Args:
        config (str | PathLike): The file.
        options (mapping): Settings that override it, by dotted key.

    Returns:
        Config: The config.

    Raises:
        ConfigError: The file is missing or cannot be read, or an option
            names a place that the config does not have.
    """
    cfg = read_config_file(config)
    apply_options(cfg, Namespace(cfg_options=dict(options)))
    return cfg


def find_inputs(
    config: str | os.PathLike, options: Mapping[str, Any]
) -> dict[str, str]:
    """Return hashes of what decides a run's outcome.

    These are the settings, and the content of all files that they name:
    annotations, detections, weights. Images, and the code, are left out. The
    run's own folder and the place of the weights make no difference.

    Args:
        config (str | PathLike): The config.
        options (mapping): Settings that override it, by dotted key.

    Returns:
        dict: ``config``, ``load_from`` if there are weights, and each file's
        path, to the first 16 hexadecimal digits of a SHA-256.

    Raises:
        ConfigError: See :func:`read_config`.
    """
    content = read_config(config, options).to_dict()
    content.pop('work_dir', None)
    weights = content.pop('load_from', None)
    text = json.dumps(content, sort_keys=True, default=str)
    inputs = {'config': _digest(text.encode())}
    if weights is not None:
        known = os.path.isfile(weights)
        inputs['load_from'] = _digest_file(weights) if known else weights
    for path in sorted(set(_files_in(content))):
        inputs[path] = _digest_file(path)
    return inputs


def find_coco_metric(cfg: Config) -> tuple[str, dict]:
    """Find the COCO metric among the test evaluators.

    Args:
        cfg (Config): The config.

    Returns:
        tuple: Its place, as an option names it, and its settings; both empty
        if there is none.
    """
    evaluators = cfg.get('test_evaluator') or []
    single = isinstance(evaluators, dict)
    for index, metric in enumerate([evaluators] if single else evaluators):
        kind = metric.get('type', '')
        kind = kind if isinstance(kind, str) else kind.__name__
        if kind.endswith('CocoMetric'):
            return f'test_evaluator{"" if single else f".{index}"}', metric
    return '', {}


def _files_in(node: Any, data_root: str | None = None) -> Iterator[str]:
    """The files that a part of a config names."""
    if isinstance(node, str):
        path = os.path.join(data_root or '', node)
        if os.path.isfile(path):
            yield path
    elif isinstance(node, dict):
        for value in node.values():
            yield from _files_in(value, node.get('data_root'))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _files_in(value, data_root)


def _digest_file(path: str) -> str:
    return _digest(Path(path).read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


TOOLS = Path(__file__).resolve().parents[2] / 'tools'


class RunFolder:
    """The folder of one run, with the inputs and the outcome in ``run.json``.

    A run of other inputs that is found there is moved aside.

    Args:
        folder (Path): The folder; it need not exist.
        inputs (dict): What decides the outcome, as JSON has it.
        log (str): Name of the log.

    Raises:
        ConfigError: The folder holds files of something else.
    """

    def __init__(self, folder: Path, inputs: dict, log: str) -> None:
        self.folder, self.log = folder, folder / log
        self._file = folder / 'run.json'
        self._state = dict(inputs=inputs, seconds=0.0, outcome=None)
        if self._file.is_file():
            state = json.loads(self._file.read_text(encoding='utf-8'))
            if state['inputs'] == inputs:
                self._state = state
            else:
                self._set_aside(state['inputs'])
        elif folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(
                f'the work directory {folder} holds files but no run.json: '
                'give a run a folder of its own'
            )

    def _set_aside(self, others: dict) -> None:
        """Move a run of other inputs out of the way."""
        inputs = self._state['inputs']
        keys = {**others, **inputs}
        keys = [k for k in keys if others.get(k) != inputs.get(k)]
        aside, number = self.folder, 0
        while aside.exists():
            number += 1
            aside = self.folder.with_name(f'{self.folder.name}.old{number}')
        self.folder.rename(aside)
        print(
            f'{self.folder} had a run of another {", ".join(keys)}: moved to '
            f'{aside}',
            flush=True,
        )

    def outcome(self, *file_keys: str) -> dict | None:
        """Return what the finished run left.

        Args:
            file_keys (str): Keys of the outcome that name a file.

        Returns:
            dict | None: The outcome with ``seconds``; None if the run is not
            finished, or a file is missing.
        """
        outcome = self._state['outcome']
        if outcome is None:
            return None
        names = [outcome[key] for key in file_keys if outcome[key]]
        if not all((self.folder / name).is_file() for name in names):
            return None
        print(f'{self.folder} is finished.', flush=True)
        return dict(outcome, seconds=self._state['seconds'])

    def start(
        self, tool: str, arguments: list[str], resumes: bool = False
    ) -> None:
        """Run a tool; its time counts even if it is interrupted.

        Args:
            tool (str): A file of ``tools/``.
            arguments (list[str]): Its command line.
            resumes (bool): Whether it goes on where another run ended, whose
                time counts too. Defaults to False.

        Raises:
            RunFailedError: It ended with an error.
        """
        self._state['outcome'] = None
        if not resumes:
            self._state['seconds'] = 0.0
        self._save()
        begin = time.perf_counter()
        try:
            _run_tool(tool, arguments, self.log)
        finally:
            self._state['seconds'] += time.perf_counter() - begin
            self._save()

    def finish(self, **outcome: str | None) -> dict:
        """Record that the run is finished.

        Args:
            outcome (str, optional): Names of the files that it left.

        Returns:
            dict: The outcome, with ``seconds``.
        """
        self._state['outcome'] = outcome
        self._save()
        return dict(outcome, seconds=self._state['seconds'])

    def _save(self) -> None:
        """Replace the file at once, so that no half of it is ever read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix('.part')
        part.write_text(json.dumps(self._state, indent=1), encoding='utf-8')
        part.replace(self._file)


def _run_tool(tool: str, arguments: list[str], log_file: Path) -> None:
    """Run a tool, show its progress, and append its output to the log."""
    path = TOOLS / tool
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist: runs need the tools of the checkout, '
            'install it with pip install -e'
        )
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    command = [str(path), *arguments]
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
            # It may have heard of Ctrl-C, or not.
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if process.returncode:
        tail = log_file.read_text(encoding='utf-8').splitlines()[-15:]
        raise RunFailedError(
            '\n'.join(tail) + f'\n{tool} ended with exit code '
            f'{process.returncode}; its log is {log_file}'
        )


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
