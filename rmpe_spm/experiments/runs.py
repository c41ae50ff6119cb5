"""Runs that are remembered: what decides them, and what came out of them.

A run is finished if its folder's ``run.json`` has an outcome for the same
inputs. That is the only rule by which trainings, tests, curves, ablations and
leaderboards go on where they were interrupted.
"""

import json
import os
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..cli.arguments import apply_options, read_config_file
from ..errors import ConfigError
from ..files import digest, digest_file, read_json, write_atomically


class RunFolder:
    """The folder of one run, which remembers it in ``run.json``.

    A run of other ``inputs`` (what decides the outcome, as JSON has it) in the
    folder is moved aside.

    Raises:
        ConfigError: The folder holds files of something else, or its
            ``run.json`` is damaged.
    """

    def __init__(self, folder: str | os.PathLike, inputs: dict) -> None:
        self.folder, self._inputs = Path(folder), inputs
        self._file = self.folder / 'run.json'
        others = self._read()['inputs']
        if others != inputs:
            self._set_aside(others)
        elif not self._file.is_file() and any(self.folder.glob('*')):
            raise ConfigError(
                f'the work directory {folder} holds files but no run.json: '
                'give a run a folder of its own'
            )

    def outcome(self) -> dict[str, Any] | None:
        """Return what :meth:`finish` was given; None if a file is missing."""
        state = self._read()
        outcome = state['outcome']
        if outcome is None:
            return None
        if not all(
            (self.folder / name).is_file() for name in outcome['files']
        ):
            return None
        return dict(outcome, seconds=state['seconds'])

    @contextmanager
    def attempt(self, resumes: bool = False) -> Iterator[None]:
        """Take the time of an attempt, those before too if it ``resumes``."""
        before = self._read()['seconds'] if resumes else 0.0
        self._update(outcome=None, seconds=before)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._update(seconds=before + time.perf_counter() - begin)

    def finish(self, files: Iterable[str] = (), **values: Any) -> dict:
        """Record what came out of the run, and which files it needs."""
        self._update(outcome=dict(values, files=list(files)))
        return self.outcome()

    def _read(self) -> dict[str, Any]:
        fresh = dict(inputs=self._inputs, outcome=None, seconds=0.0)
        if not self._file.is_file():
            return fresh
        return {**fresh, **read_json(self._file)}

    def _update(self, **changes: Any) -> None:
        text = json.dumps({**self._read(), **changes}, indent=1)
        write_atomically(self._file, text)

    def _set_aside(self, others: dict) -> None:
        """Move a run of other inputs out of the way."""
        keys = {**others, **self._inputs}
        keys = [k for k in keys if others.get(k) != self._inputs.get(k)]
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


def read_config(
    config: str | os.PathLike, options: Mapping[str, Any]
) -> Config:
    """Read a config and apply options, by dotted key, as the tools do."""
    cfg = read_config_file(config)
    apply_options(cfg, Namespace(cfg_options=dict(options)))
    return cfg


def digest_settings(settings: Any, ignored: Sequence[str] = ()) -> str:
    """Give one digest of settings and of all files that they name.

    A text that is the path of a file, or of one below the nearest
    ``data_root``, counts as the content of that file. Images are not read.
    Keys that are ``ignored`` are left out at every depth.
    """

    def contents(node: Any, root: str) -> Any:
        if isinstance(node, Mapping):
            root = node.get('data_root') or root
            return {
                str(key): contents(value, root)
                for key, value in node.items()
                if key not in ignored
            }
        if isinstance(node, list | tuple):
            return [contents(item, root) for item in node]
        if isinstance(node, str):
            for path in (node, os.path.join(root, node)):
                if os.path.isfile(path):
                    return read_once(path)
        return node

    read_once = cache(digest_file)
    content = contents(settings, '')
    return digest(json.dumps(content, sort_keys=True, default=repr))


def find_inputs(
    config: str | os.PathLike, options: Mapping[str, Any]
) -> dict[str, str]:
    """Return what decides a config's run: digests of settings and weights."""
    content = read_config(config, options).to_dict()
    inputs = {
        'config or file that it names': digest_settings(
            content, ignored=('work_dir', 'load_from')
        )
    }
    weights = content.get('load_from')
    if weights is not None:
        known = os.path.isfile(weights)  # else a URL
        inputs['load_from'] = digest_file(weights) if known else weights
    return inputs
