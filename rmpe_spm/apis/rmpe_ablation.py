"""RMPE's ablation: what each part brings, over several seeds.

The rows of the paper's table 3, from the configs of the two stages. Each row
has the same number of epochs: those of stage 1 and then those of stage 2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ablation_configs import ablation_configs, read_stages
from .box_robustness import BBOX_FILE, CurvePoint, box_curves
from .seeded_runs import run_test, run_training

# What stage 2 trains, and which stage 1 it goes on from.
TRAININGS = {
    'plain': 'plain',
    'jitter': 'jitter',
    'pgpg': 'pgpg',
    'sstn': 'pgpg',
    'parallel': 'pgpg',
}
ORACLE = 'oracle'


@dataclass(frozen=True)
class AblationRow:
    """A line of the table.

    Attributes:
        label (str): What it is.
        model (str): The training, a key of ``TRAININGS``.
        nms (str): The pose NMS, a key of ``NMS`` in ablation_configs.
        oracle (bool): Whether the boxes are the annotated ones. Defaults to
            False: the detector's.
    """

    label: str
    model: str
    nms: str
    oracle: bool = False

    @property
    def test(self) -> str:
        """The name of the test that gives the row's numbers."""
        return f'test_{ORACLE if self.oracle else self.model}'

    @property
    def runs(self) -> list[str]:
        """The names of the runs that the row needs, in order."""
        start = f'stage1_{TRAININGS[self.model]}'
        return [start, f'stage2_{self.model}', self.test]


ROWS = (
    AblationRow('plain two-step', 'plain', 'none'),
    AblationRow('+ jitter', 'jitter', 'none'),
    AblationRow('+ PGPG', 'pgpg', 'none'),
    AblationRow('+ PGPG + SSTN', 'sstn', 'none'),
    AblationRow('+ PGPG + SSTN + parallel SPPE', 'parallel', 'none'),
    AblationRow('RMPE: all that + pose NMS', 'parallel', 'parametric'),
    AblationRow('RMPE with OKS NMS instead', 'parallel', 'oks'),
    AblationRow('plain two-step with OKS NMS', 'plain', 'oks'),
    AblationRow(
        'RMPE on annotated boxes (oracle)', 'parallel', 'parametric', True
    ),
)
# The models of the curves. Each has the NMS that its users have: mmpose's
# default is OKS NMS.
CURVE_MODELS = {
    'plain': AblationRow('plain two-step, OKS NMS', 'plain', 'oks'),
    'parallel': AblationRow('RMPE', 'parallel', 'parametric'),
}


@dataclass(frozen=True)
class SeedResult:
    """What the runs of one seed gave.

    Attributes:
        seed (int): The seed.
        metrics (dict): The metrics of each test, by its name, and their
            ``boxes``.
        curves (dict): The curve of each of ``CURVE_MODELS``.
        commands (dict): The command of each run, by its name.
        seconds (dict): How long each run took, but for the curves.
    """

    seed: int
    metrics: dict[str, dict[str, float | str]]
    curves: dict[str, list[CurvePoint]]
    commands: dict[str, str]
    seconds: dict[str, float]


def run_ablation(
    stage1: str | Path,
    stage2: str | Path,
    work_dir: str | Path,
    seeds: Sequence[int] = (0, 1, 2),
    cfg_options: Mapping[str, Any] | None = None,
) -> Iterator[SeedResult]:
    """Train and evaluate all rows with each seed.

    The configs of the runs are written to ``configs/`` in the work
    directory, and each run has a folder in ``seed<n>/``. What is finished
    there is not repeated, and a training that was interrupted goes on.

    Args:
        stage1 (str | Path): The config of the SPPE with PGPG.
        stage2 (str | Path): The config of RMPE.
        work_dir (str | Path): Where everything goes.
        seeds (Sequence): The seeds. Defaults to (0, 1, 2).
        cfg_options (Mapping, optional): Settings that override both
            configs, by dotted key. Defaults to None.

    Yields:
        SeedResult: What each seed gave, in turn.

    Raises:
        ConfigError: The configs are not those of an RMPE.
        RunFailedError: A run failed; names its log.
    """
    work_dir = Path(work_dir)
    paths = {}
    stages = read_stages(stage1, stage2, cfg_options)
    for name, cfg in ablation_configs(*stages).items():
        paths[name] = work_dir / 'configs' / f'{name}.py'
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        cfg.dump(paths[name])
    for seed in seeds:
        yield _run_seed(seed, paths, work_dir / f'seed{seed}')


def _run_seed(
    seed: int, configs: Mapping[str, Path], folder: Path
) -> SeedResult:
    """Do the runs of one seed."""
    runs, metrics, curves, commands = {}, {}, {}, {}
    for start in dict.fromkeys(TRAININGS.values()):
        name = f'stage1_{start}'
        runs[name] = run_training(
            configs[name], folder / name, seed, validate=False
        )
    for model, start in TRAININGS.items():
        name = f'stage2_{model}'
        runs[name] = run_training(
            configs[name],
            folder / name,
            seed,
            load_from=runs[f'stage1_{start}'].checkpoint,
            validate=False,
        )
    for row in ROWS:
        training = f'stage2_{row.model}'
        if row.test not in runs:
            runs[row.test] = run_test(
                configs[training],
                runs[training].checkpoint,
                folder / row.test,
                {BBOX_FILE: ''} if row.oracle else {},
            )
            metrics[row.test] = runs[row.test].metrics
    for model in CURVE_MODELS:
        config = configs[f'stage2_{model}']
        checkpoint = runs[f'stage2_{model}'].checkpoint
        where = folder / f'curves_{model}'
        # The same boxes for each model and seed.
        curves[model] = box_curves(config, checkpoint, where)
        commands[f'curves_{model}'] = (
            f'python tools/test_box_errors.py {config} {checkpoint} '
            f'--work-dir {where}'
        )
    commands.update({name: _command(run.log) for name, run in runs.items()})
    seconds = {name: run.seconds for name, run in runs.items()}
    return SeedResult(seed, metrics, curves, commands, seconds)


def _command(log: Path) -> str:
    """The command that a run began with, which its log begins with."""
    with log.open(encoding='utf-8') as file:
        return file.readline().removeprefix('$ ').strip()
