"""A run of a tool and the folder that remembers it."""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from .annotation_check import ConfigError

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


class RunFailedError(RuntimeError):
    """A run ended with an error; the message names its log."""


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
