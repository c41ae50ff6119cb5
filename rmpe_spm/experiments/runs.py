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
from mmengine.registry import Registry

from ..cli.arguments import apply_options, read_config_file
from ..errors import ConfigError
from ..files import digest, digest_file, read_json, write_atomically

NO_REASON = 'no reason was written'


class RunFolder:
    """The folder of one run, which remembers it in ``run.json``.

    The file holds the inputs, the outcome of a finished run, the seconds that
    it took, and why an attempt ended that did not finish. It is replaced in
    one step, so an outcome is there as a whole or not at all. A run of other
    inputs that is found in the folder is moved aside.

    Args:
        folder (str | PathLike): The folder; it need not exist.
        inputs (dict): What decides the outcome, as JSON has it.

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
        """Return what :meth:`finish` was given, and ``seconds``.

        None if the run is not finished, or a file that it left is missing.
        """
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
        """Try to finish the run: take the time, and note how it ends.

        While the body runs, and after the process was killed in it, there is a
        note that gives no reason. After an error the note gives that. The end
        of the body, and Ctrl-C, take the note away. Where an attempt
        ``resumes``, the time of those before counts too.
        """
        before = self._read()['seconds'] if resumes else 0.0
        self._update(outcome=None, seconds=before, failure=NO_REASON)
        begin, failure = time.perf_counter(), ''
        try:
            yield
        except Exception as error:
            self.note(f'{type(error).__name__}: {error}')
            failure = self.failure
            raise
        finally:
            seconds = before + time.perf_counter() - begin
            self._update(seconds=seconds, failure=failure)

    def note(self, reason: str) -> None:
        """Write why an attempt is about to end the process.

        The first reason stays: what ends other processes of the run follows
        from it.
        """
        if self.failure in ('', NO_REASON):
            self._update(failure=reason)

    @property
    def failure(self) -> str:
        """Why the last attempt ended; empty if it came to its end."""
        return self._read()['failure']

    @property
    def last_attempt(self) -> float:
        """When the last attempt was, as of ``time.time``; 0 without one."""
        return self._file.stat().st_mtime if self._file.is_file() else 0.0

    def finish(self, files: Iterable[str] = (), **values: Any) -> dict:
        """Record that the run is finished, with what came out of it.

        Args:
            files (iterable): Names of files in the folder, without which
                the run does not count as finished. Defaults to ().
            **values (Any): As JSON has it.

        Returns:
            dict: The values, ``files`` and ``seconds``.
        """
        self._update(outcome=dict(values, files=list(files)), failure='')
        return self.outcome()

    def _read(self) -> dict[str, Any]:
        fresh = dict(
            inputs=self._inputs, outcome=None, seconds=0.0, failure=''
        )
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
    """Read a config and apply options, by dotted key, as the tools do.

    Raises:
        ConfigError: The file is missing or cannot be read, or an option
            names a place that the config does not have.
    """
    cfg = read_config_file(config)
    apply_options(cfg, Namespace(cfg_options=dict(options)))
    return cfg


def is_kind(kind: str | type | None, base: type, registry: Registry) -> bool:
    """Tell whether a ``type`` of a config is a class or one made from it."""
    kind = registry.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, base)


def digest_settings(settings: Any, ignored: Sequence[str] = ()) -> str:
    """Give one digest of settings and of all files that they name.

    A text that is the path of a file, or is one below the nearest
    ``data_root`` around it, counts as the content of that file. So neither
    places nor comments make a difference. Images, which configs do not name
    one by one, are not read.

    Args:
        settings (Any): A config's content, or a part of it.
        ignored (sequence): Keys to leave out at every depth. Defaults to ().

    Returns:
        str: 16 hexadecimal digits.
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
    """Return what decides the outcome of a config's run.

    That is a digest of its settings with the files that they name, and one of
    the weights that it starts from, if there are any. The run's own folder and
    the place of the weights make no difference; the code and the images do not
    count. ``options`` override the config, by dotted key.
    """
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
