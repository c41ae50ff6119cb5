"""Train RMPE in its two stages, one after the other.

Stage 1 fine-tunes the SPPE on the proposals of PGPG; stage 2 starts from its
last weights and adds SSTN and the parallel branch. Both run tools/train.py,
and an interrupted command continues where it stopped.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from rmpe_spm.cli.arguments import OptionAction, as_arguments
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.experiments.runs import read_config

TRAIN = Path(__file__).resolve().with_name('train.py')


def last_checkpoint(work_dir: Path) -> Path | None:
    """Return the checkpoint that a run in the folder wrote last."""
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        return None
    path = Path(pointer.read_text(encoding='utf-8').strip())
    # The folder may have been moved since.
    return path if path.is_file() else work_dir / path.name


def commands(
    args: argparse.Namespace, extra: list[str]
) -> list[tuple[Path, list[str]]]:
    """Return the folder and the command line of each stage."""
    stages = []
    for name, config in (('stage1', args.stage1), ('stage2', args.stage2)):
        folder = args.work_dir / name
        command = [sys.executable, str(TRAIN), str(config)]
        command += ['--work-dir', str(folder), *extra]
        stages.append((folder, command))
    return stages


def is_finished(folder: Path, config: str, cfg_options: dict) -> bool:
    """Tell whether a run in the folder reached its last epoch."""
    path = last_checkpoint(folder)
    epochs = read_config(config, cfg_options).train_cfg.max_epochs
    return path is not None and path.name == f'epoch_{epochs}.pth'


def options_of(extra: list[str]) -> dict:
    """Return the config options among the arguments for tools/train.py."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
    return parser.parse_known_args(extra)[0].cfg_options or {}


def main(argv: list[str] | None = None) -> int:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        epilog='Further arguments go to tools/train.py in both stages.',
    )
    parser.add_argument('stage1', help='config of the SPPE with PGPG')
    parser.add_argument('stage2', help='config of ParallelSPPE')
    parser.add_argument('--work-dir', type=Path, required=True)
    args, extra = parser.parse_known_args(argv)
    stages = commands(args, extra)
    configs, cfg_options = (args.stage1, args.stage2), options_of(extra)
    for index, (folder, command) in enumerate(stages):
        with report_user_errors('train_rmpe.py'):
            finished = is_finished(folder, configs[index], cfg_options)
        if finished:
            print(f'{folder} is finished.')
            continue
        if last_checkpoint(folder) is not None:
            command += ['--resume']
        elif index == 1:
            weights = last_checkpoint(stages[0][0])
            command += option(*as_arguments({'load_from': weights}), command)
        code = subprocess.run(command, check=False).returncode
        if code != 0:
            print(f'{folder}: training ended with exit code {code}')
            return code
    return 0


def option(setting: str, command: list[str]) -> list[str]:
    """Return the arguments that add a config option to a command."""
    if '--cfg-options' not in command:
        return ['--cfg-options', setting]
    command.insert(command.index('--cfg-options') + 1, setting)
    return []


if __name__ == '__main__':
    # kill, timeout and schedulers: end the trainings too, as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
