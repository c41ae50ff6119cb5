"""RMPE's ablation: what each part brings, over several seeds.

The rows of the paper's table 3, from the configs of the two stages. Every row
has the same number of epochs: those of stage 1 and then those of stage 2.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config

from ..errors import ConfigError
from ..markdown import markdown_table, over_seeds
from .runs import read_config
from .tool_runs import run_test, run_training

PROPOSALS = 'PGPGTransform'
CENTER_TARGET = 'GenerateCenterTarget'
CONTEXT_CROP = 'TopdownContextAffine'
BBOX_FILE = 'test_dataloader.dataset.bbox_file'
PARALLEL_SPPE = 'ParallelSPPE'

# What stage 2 trains, and which stage 1 it goes on from.
TRAININGS = {
    'plain': 'plain',
    'jitter': 'jitter',
    'pgpg': 'pgpg',
    'sstn': 'pgpg',
    'parallel': 'pgpg',
}
# What takes the place of PGPG in training.
WITHOUT_PGPG = {'plain': [], 'jitter': [dict(type=PROPOSALS, mode='jitter')]}
# How the poses of one test are evaluated, by the prefix of the metrics.
NMS = {
    'none': None,
    'oks': dict(type='OKSNMS', thr=0.9),
    'parametric': dict(type='ParametricPoseNMS', preset='coco'),
}
# On redundant boxes more of OKS NMS, so that its best threshold is seen.
REDUNDANT_NMS = {
    f'oks_{thr}': dict(type='OKSNMS', thr=thr) for thr in (0.3, 0.5, 0.7)
}


class AblationRow(NamedTuple):
    """A line of the table."""

    label: str
    model: str  # the training, a key of TRAININGS
    nms: str  # a key of NMS or REDUNDANT_NMS
    boxes: str = ''  # 'annotated' or 'redundant', if not the detector's

    @property
    def config(self) -> str:
        """The name of the config that is tested."""
        kind = 'redundant' if self.boxes == 'redundant' else 'stage2'
        return f'{kind}_{self.model}'

    @property
    def test(self) -> str:
        """The name of the test that gives the row's numbers."""
        if self.boxes == 'redundant':
            return f'test_{self.config}'
        return f'test_{self.boxes or self.model}'


ROWS = (
    AblationRow('plain two-step', 'plain', 'none'),
    AblationRow('+ jitter (in place of PGPG)', 'jitter', 'none'),
    AblationRow('+ PGPG', 'pgpg', 'none'),
    AblationRow('+ PGPG + SSTN', 'sstn', 'none'),
    AblationRow('+ PGPG + SSTN + parallel SPPE', 'parallel', 'none'),
    AblationRow('RMPE: all that + pose NMS', 'parallel', 'parametric'),
    AblationRow('RMPE with OKS NMS instead', 'parallel', 'oks'),
    AblationRow('plain two-step with OKS NMS', 'plain', 'oks'),
    AblationRow(
        'RMPE on annotated boxes (oracle)',
        'parallel',
        'parametric',
        'annotated',
    ),
    *(
        AblationRow(
            f'{name} on redundant boxes, {label}', model, nms, 'redundant'
        )
        for name, model in (('plain two-step', 'plain'), ('RMPE', 'parallel'))
        for nms, label in (
            ('none', 'no NMS'),
            ('oks_0.3', 'OKS NMS at 0.3'),
            ('oks_0.5', 'OKS NMS at 0.5'),
            ('oks_0.7', 'OKS NMS at 0.7'),
            ('oks', 'OKS NMS at 0.9'),
            ('parametric', 'pose NMS'),
        )
    ),
)
# Name in the table -> name that COCO's evaluation gives.
METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AR': 'AR'}


# What the tests of one seed gave: metrics by test.
AblationResult = dict[str, dict[str, float | str]]


def run_ablation(
    stage1: str | Path,
    stage2: str | Path,
    work_dir: str | Path,
    seeds: Sequence[int] = (0, 1, 2),
    cfg_options: Mapping[str, Any] | None = None,
    redundant_boxes: str | Path | None = None,
) -> Iterator[AblationResult]:
    """Train and evaluate all rows with each seed.

    The configs of the runs are written to ``configs/`` in the work
    directory, and each run has a folder in ``seed<n>/``. What is finished
    there is not repeated, and a training that was interrupted goes on. On
    ``redundant_boxes``, a file of ``tools/make_redundant_boxes.py``, RMPE and
    the plain model are evaluated, too. Yields what each seed gave, in turn.

    Raises:
        ConfigError: The configs are not those of an RMPE.
        RunFailedError: A run failed; names its log.
    """
    work_dir = Path(work_dir)
    paths = {}
    stages = read_stages(stage1, stage2, cfg_options)
    configs = ablation_configs(*stages)
    if redundant_boxes is not None:
        configs |= _on_redundant_boxes(configs, stages[1], redundant_boxes)
    for name, cfg in configs.items():
        paths[name] = work_dir / 'configs' / f'{name}.py'
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        cfg.dump(paths[name])
    for seed in seeds:
        yield _run_seed(seed, paths, work_dir / f'seed{seed}')


def _run_seed(
    seed: int, configs: Mapping[str, Path], folder: Path
) -> AblationResult:
    def train(name: str, load_from: Path | None = None) -> Path:
        return run_training(
            configs[name],
            folder / name,
            seed,
            load_from=load_from,
            arguments=['--no-validate'],
        ).checkpoint

    first = {
        name: train(f'stage1_{name}')
        for name in dict.fromkeys(TRAININGS.values())
    }
    weights = {
        name: train(f'stage2_{name}', first[start])
        for name, start in TRAININGS.items()
    }
    metrics = {}
    for row in ROWS:
        if row.config in configs and row.test not in metrics:
            metrics[row.test] = run_test(
                configs[row.config],
                weights[row.model],
                folder / row.test,
                {BBOX_FILE: ''} if row.boxes == 'annotated' else {},
            ).metrics
    return metrics


def read_stages(
    stage1: str | Path,
    stage2: str | Path,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[Config]:
    """Read the configs of both stages and check that they can be ablated.

    Raises:
        ConfigError: A file is missing, or has not what is to be ablated.
    """
    stages = []
    for path, kinds in (
        (stage1, [PROPOSALS]),
        (stage2, [PROPOSALS, CENTER_TARGET]),
    ):
        cfg = read_config(path, cfg_options or {})
        datasets = _with_pipelines(cfg.train_dataloader.dataset)
        steps = [step['type'] for d in datasets for step in d['pipeline']]
        lacks = [f'{kind} in training' for kind in kinds if kind not in steps]
        if not cfg.test_dataloader.dataset.get('bbox_file'):
            lacks.append(f"a detector's boxes ({BBOX_FILE})")
        if lacks:
            raise ConfigError(f'{path}: the ablation needs {lacks[0]}')
        stages.append(cfg)
    if cfg.model.type != PARALLEL_SPPE or cfg.model.get('parallel') is None:
        raise ConfigError(
            f'{stage2}: the ablation needs a {PARALLEL_SPPE} with a parallel '
            'branch as model'
        )
    return stages


def ablation_configs(stage1: Config, stage2: Config) -> dict[str, Config]:
    """Make the configs of all trainings.

    Stage 1 trains the SPPE on the annotated boxes (``plain``), on jittered
    ones (``jitter``) and on PGPG's (``pgpg``). Stage 2 goes on from there
    with the optimiser and the epochs of stage 2: the SPPE alone with the
    same three kinds of boxes, and with PGPG's the SPPE in an SSTN without
    (``sstn``) and with parallel branch (``parallel``). The SPPE alone has no
    use for context: its crops are the plain ones. Each evaluates its poses
    without NMS, with OKS NMS and with the parametric one.
    """
    alone = _replace_step(stage2, CENTER_TARGET, [])
    # Without the branch, only a loss on theta needs to know the centre.
    on_theta = stage2.model.sstn.get('theta_loss')
    sstn = deepcopy(stage2 if on_theta else alone)
    sstn.model.parallel = None
    alone.model = _sppe_alone(stage2)
    _take_plain_crops(alone)
    configs = {'stage1_pgpg': deepcopy(stage1), 'stage2_pgpg': alone}
    for name, steps in WITHOUT_PGPG.items():
        for stage in ('stage1', 'stage2'):
            configs[f'{stage}_{name}'] = _replace_step(
                configs[f'{stage}_pgpg'], PROPOSALS, steps
            )
    configs['stage2_sstn'] = sstn
    configs['stage2_parallel'] = deepcopy(stage2)
    evaluators = nms_evaluators(stage2)
    for cfg in configs.values():
        cfg.test_evaluator = deepcopy(evaluators)
    return configs


def _on_redundant_boxes(
    configs: Mapping[str, Config], stage2: Config, boxes: str | Path
) -> dict[str, Config]:
    """The configs of the tests on all boxes of a file."""
    if not Path(boxes).is_file():
        raise ConfigError(f'there is no file of redundant boxes: {boxes}')
    evaluators = nms_evaluators(stage2, {**NMS, **REDUNDANT_NMS})
    tests = {}
    for model in ('plain', 'parallel'):
        cfg = deepcopy(configs[f'stage2_{model}'])
        dataset = cfg.test_dataloader.dataset
        # no absolute path would stand behind the data's root
        dataset.bbox_file = str(Path(boxes).resolve())
        dataset.filter_cfg = None
        cfg.test_evaluator = deepcopy(evaluators)
        tests[f'redundant_{model}'] = cfg
    return tests


def nms_evaluators(
    cfg: Config, ways: Mapping[str, dict | None] = NMS
) -> list[dict]:
    """One COCO metric a way of pose NMS, all fed by the same test.

    The parametric NMS is the config's own where it has one. The metrics are
    ``none/AP``, ``oks/AP`` and so on.

    Raises:
        ConfigError: The evaluator is no COCO metric.
    """
    evaluator = cfg.test_evaluator
    if isinstance(evaluator, list) and len(evaluator) == 1:
        evaluator = evaluator[0]
    kind = evaluator.get('type') if isinstance(evaluator, dict) else 'a list'
    if kind not in ('CocoMetric', 'PoseNMSCocoMetric'):
        raise ConfigError(
            f'test_evaluator: {kind} is not one COCO metric (CocoMetric or '
            'PoseNMSCocoMetric)'
        )
    own = dict(evaluator, type='PoseNMSCocoMetric')
    ways = dict(ways)
    if (own.pop('nms', None) or {}).get('type') == 'ParametricPoseNMS':
        ways['parametric'] = dict(evaluator.nms)
    for key in ('nms_mode', 'nms_thr', 'prefix', 'outfile_prefix'):
        own.pop(key, None)
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


def _replace_step(cfg: Config, kind: str, steps: list[dict]) -> Config:
    """A config with some steps in the place of a transform in training."""
    cfg = deepcopy(cfg)
    for dataset in _with_pipelines(cfg.train_dataloader.dataset):
        pipeline = []
        for step in dataset['pipeline']:
            pipeline += deepcopy(steps) if step['type'] == kind else [step]
        dataset['pipeline'] = pipeline
    return cfg


def _take_plain_crops(cfg: Config) -> None:
    """Replace crops with context by the plain ones that they surround."""
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader') or {}
        for dataset in _with_pipelines(loader.get('dataset', {})):
            for step in dataset['pipeline']:
                if step['type'] == CONTEXT_CROP:
                    step['type'] = 'TopdownAffine'
                    step.pop('context', None)


def _with_pipelines(dataset: dict) -> list[dict]:
    """The data sets of a config that have a pipeline, wrapped or not."""
    inner = list(dataset.get('datasets', []))
    inner += [dataset['dataset']] if 'dataset' in dataset else []
    found = [dataset] if dataset.get('pipeline') else []
    return found + sum(map(_with_pipelines, inner), [])


def ablation_table(results: Sequence[AblationResult]) -> str:
    """Write the rows with mean and standard deviation over the seeds.

    The last column is the gain in AP over the plain model, seed by seed.
    """

    def values(row: AblationRow, metric: str) -> list[float]:
        key = f'{row.nms}/{METRICS[metric]}'
        return [result[row.test][key] for result in results]

    plain = values(ROWS[0], 'AP')
    rows = []
    for row in ROWS:
        if any(row.test not in result for result in results):
            continue
        gains = np.subtract(values(row, 'AP'), plain).tolist()
        cells = [over_seeds(values(row, name)) for name in METRICS]
        cells.append('' if row is ROWS[0] else over_seeds(gains, '+.3f'))
        rows.append([row.label, *cells])
    return markdown_table(['', *METRICS, 'AP over plain'], rows)
