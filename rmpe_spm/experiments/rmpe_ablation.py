"""RMPE's ablation: what each part brings, over several seeds.

The rows of the paper's table 3, from the configs of the two stages. Each row
has the same number of epochs: those of stage 1 and then those of stage 2.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import ConfigError
from .box_robustness import BBOX_FILE, CurvePoint, box_curves
from .runs import read_config, run_test, run_training

PROPOSALS = 'PGPGTransform'
CENTER_TARGET = 'GenerateCenterTarget'
PARALLEL_SPPE = 'ParallelSPPE'

# How the poses of one test are evaluated, by the prefix of the metrics.
NMS = {
    'none': None,
    'oks': dict(type='OKSNMS', thr=0.9),
    'parametric': dict(type='ParametricPoseNMS', preset='coco'),
}
BOXES_IN_TRAINING = {
    'plain': None,
    'jitter': dict(type=PROPOSALS, mode='jitter'),
}


def read_stages(
    stage1: str | Path,
    stage2: str | Path,
    cfg_options: Mapping[str, Any] | None = None,
) -> tuple[Config, Config]:
    """Read the configs of both stages and check that they can be ablated.

    Args:
        stage1 (str | Path): The SPPE with PGPG in its training pipeline.
        stage2 (str | Path): ``ParallelSPPE`` around it, with a parallel
            branch and the centre target.
        cfg_options (Mapping, optional): Settings that override both, by
            dotted key. Defaults to None.

    Returns:
        tuple[Config, Config]: Both stages.

    Raises:
        ConfigError: A file is missing, or has not what is to be ablated.
    """
    stages = []
    for path in (stage1, stage2):
        cfg = read_config(path, cfg_options or {})
        _require(cfg, path, PROPOSALS)
        dataset = cfg.test_dataloader.dataset
        if not dataset.get('bbox_file'):
            raise ConfigError(
                f"{path}: test_dataloader.dataset.bbox_file, a detector's "
                'boxes, is what this ablation is about; it is not set'
            )
        if 'max_epochs' not in cfg.train_cfg:
            raise ConfigError(
                f'{path}: train_cfg.max_epochs is not set; the ablation '
                'gives every row the same epochs'
            )
        stages.append(cfg)
    model = stages[1].model
    if model.type != PARALLEL_SPPE or model.get('parallel') is None:
        raise ConfigError(
            f'{stage2}: the model of stage 2 must be a {PARALLEL_SPPE} with '
            f'a parallel branch, not {model.type}'
        )
    _require(stages[1], stage2, CENTER_TARGET)
    return tuple(stages)


def ablation_configs(stage1: Config, stage2: Config) -> dict[str, Config]:
    """Make the configs of all trainings.

    Stage 1 trains the SPPE on the annotated boxes (``plain``), on jittered
    ones (``jitter``) and on PGPG's (``pgpg``). Stage 2 goes on from there
    with the optimiser and the epochs of stage 2: the SPPE alone with the
    same three kinds of boxes, and with PGPG's the SPPE in an SSTN without
    (``sstn``) and with parallel branch (``parallel``). Each evaluates its
    poses without NMS, with OKS NMS and with the parametric one.

    Args:
        stage1 (Config): The SPPE with PGPG.
        stage2 (Config): RMPE.

    Returns:
        dict[str, Config]: ``stage1_plain``, ``stage1_jitter``,
        ``stage1_pgpg``, and ``stage2_`` with these, ``sstn`` and
        ``parallel``.
    """
    sppe = _sppe_alone(stage2)
    alone = _without(stage2, CENTER_TARGET)
    sstn = deepcopy(alone)
    sstn.model.parallel = None
    alone.model = sppe
    configs = {'stage1_pgpg': deepcopy(stage1), 'stage2_pgpg': alone}
    for name, transform in BOXES_IN_TRAINING.items():
        for stage in ('stage1', 'stage2'):
            configs[f'{stage}_{name}'] = _with_boxes(
                configs[f'{stage}_pgpg'], transform
            )
    configs['stage2_sstn'] = sstn
    configs['stage2_parallel'] = deepcopy(stage2)
    evaluators = nms_evaluators(stage2)
    for cfg in configs.values():
        cfg.test_evaluator = deepcopy(evaluators)
    return configs


def nms_evaluators(cfg: Config) -> list[dict]:
    """One COCO metric a way of pose NMS, all fed by the same test.

    The parametric NMS is the config's own where it has one.

    Args:
        cfg (Config): Has a COCO metric as ``test_evaluator``.

    Returns:
        list[dict]: The evaluators; their metrics are ``none/AP``,
        ``oks/AP``, ``parametric/AP`` and so on.

    Raises:
        ConfigError: The evaluator is no COCO metric.
    """
    evaluator = cfg.test_evaluator
    if isinstance(evaluator, list) and len(evaluator) == 1:
        evaluator = evaluator[0]
    kind = evaluator.get('type') if isinstance(evaluator, dict) else None
    if kind not in ('CocoMetric', 'PoseNMSCocoMetric'):
        raise ConfigError(
            f'test_evaluator: {kind or "a list"} is not one COCO metric '
            '(CocoMetric or PoseNMSCocoMetric)'
        )
    own = dict(evaluator)
    ways = dict(NMS)
    if (own.pop('nms', None) or {}).get('type') == 'ParametricPoseNMS':
        ways['parametric'] = dict(evaluator.nms)
    for key in ('nms_mode', 'nms_thr', 'prefix', 'outfile_prefix'):
        own.pop(key, None)
    own['type'] = 'PoseNMSCocoMetric'
    return [dict(own, prefix=name, nms=nms) for name, nms in ways.items()]


def _sppe_alone(stage2: Config) -> dict:
    """The plain model inside of a ParallelSPPE, as that would run it."""
    model = stage2.model
    sppe = deepcopy(dict(model.sppe))
    for key in ('train_cfg', 'test_cfg'):
        merged = {**(sppe.get(key) or {}), **(model.get(key) or {})}
        merged.pop('sdtn', None)
        if merged:
            sppe[key] = merged
    for key in ('data_preprocessor', 'init_cfg', 'metainfo'):
        if model.get(key) is not None:
            sppe[key] = deepcopy(model[key])
    return sppe


def _with_boxes(cfg: Config, transform: dict | None) -> Config:
    """A config with something else, or nothing, for PGPG."""

    def swapped(step: dict) -> list[dict]:
        if step['type'] != PROPOSALS:
            return [step]
        return [] if transform is None else [dict(transform)]

    return _mapped(cfg, swapped)


def _without(cfg: Config, kind: str) -> Config:
    """A config without a transform in training."""
    return _mapped(cfg, lambda step: [] if step['type'] == kind else [step])


def _mapped(cfg: Config, change: Callable[[dict], list[dict]]) -> Config:
    """A config with each step of training replaced by some steps."""
    cfg = deepcopy(cfg)
    for dataset in _with_pipelines(cfg.train_dataloader.dataset):
        steps = [change(step) for step in dataset['pipeline']]
        dataset['pipeline'] = sum(steps, [])
    return cfg


def _with_pipelines(dataset: dict) -> list[dict]:
    """The data sets of a config that have a pipeline, wrapped or not."""
    inner = list(dataset.get('datasets', []))
    inner += [dataset['dataset']] if 'dataset' in dataset else []
    found = [dataset] if dataset.get('pipeline') else []
    return found + sum(map(_with_pipelines, inner), [])


def _require(cfg: Config, path: str | Path, kind: str) -> None:
    datasets = _with_pipelines(cfg.train_dataloader.dataset)
    steps = [step['type'] for each in datasets for step in each['pipeline']]
    if kind not in steps:
        raise ConfigError(
            f'{path}: the training pipeline has no {kind}, which the '
            'ablation leaves out in some rows'
        )


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
