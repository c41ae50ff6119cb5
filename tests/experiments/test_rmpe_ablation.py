"""RMPE's ablation: its configs, its runs and what becomes of them."""

import numpy as np
import pytest
from mmengine.config import Config

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.rmpe_ablation import (
    ROWS,
    ablation_configs,
    ablation_table,
    nms_evaluators,
    read_stages,
)

PLAIN = ['LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'GenerateTarget']
PGPG = ['LoadImage', 'PGPGTransform', *PLAIN[1:]]


@pytest.fixture
def configs(tiny_stages):
    return ablation_configs(*read_stages(*tiny_stages))


def steps(cfg):
    return [step['type'] for step in cfg.train_dataloader.dataset.pipeline]


@pytest.mark.parametrize(
    'name, model, pipeline',
    [
        ('stage1_plain', 'TopdownPoseEstimator', PLAIN),
        ('stage2_plain', 'TopdownPoseEstimator', PLAIN),
        ('stage1_jitter', 'TopdownPoseEstimator', PGPG),
        ('stage2_jitter', 'TopdownPoseEstimator', PGPG),
        ('stage1_pgpg', 'TopdownPoseEstimator', PGPG),
        ('stage2_pgpg', 'TopdownPoseEstimator', PGPG),
        ('stage2_sstn', 'ParallelSPPE', PGPG),
        ('stage2_parallel', 'ParallelSPPE', [*PGPG, 'GenerateCenterTarget']),
    ],
)
def test_each_training_leaves_something_out(configs, name, model, pipeline):
    cfg = configs[name]
    assert steps(cfg) == [*pipeline, 'PackPoseInputs']
    assert cfg.model.type == model
    assert cfg.model.get('parallel', 0) == {
        'stage2_parallel': {},
        'stage2_sstn': None,
    }.get(name, 0)
    if 'PGPGTransform' in pipeline:
        mode = cfg.train_dataloader.dataset.pipeline[1]['mode']
        jitter = 'jitter' in name
        assert mode == ('jitter' if jitter else 'global_gaussian')
    assert len(configs) == 8


def test_a_loss_on_theta_knows_the_centre_without_the_branch(tiny_stages):
    stage1, stage2 = read_stages(*tiny_stages)
    stage2.model.sstn.theta_loss = dict(type='ThetaCornerLoss')
    configs = ablation_configs(stage1, stage2)
    assert steps(configs['stage2_sstn'])[-2] == 'GenerateCenterTarget'
    assert 'GenerateCenterTarget' not in steps(configs['stage2_pgpg'])


def test_the_sppe_alone_sees_the_plain_crop(tiny_stages):
    stage1, stage2 = read_stages(*tiny_stages)
    for loader in (stage2.train_dataloader, stage2.test_dataloader):
        for step in loader.dataset.pipeline:
            if step.type == 'TopdownAffine':
                step.update(type='TopdownContextAffine', context=1.6)
    configs = ablation_configs(stage1, stage2)
    for name, kind in (
        ('pgpg', 'TopdownAffine'),
        ('sstn', 'TopdownContextAffine'),
    ):
        cfg = configs[f'stage2_{name}']
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            (crop,) = (s for s in loader.dataset.pipeline if kind == s.type)
            assert ('context' in crop) == (kind == 'TopdownContextAffine')


def test_the_same_budget(tiny_stages):
    stage1, stage2 = read_stages(*tiny_stages)
    stage1.train_cfg.max_epochs, stage2.train_cfg.max_epochs = 6, 2
    stage2.optim_wrapper.optimizer.lr = 7
    for name, cfg in ablation_configs(stage1, stage2).items():
        second = name.startswith('stage2')
        assert cfg.train_cfg.max_epochs == (2 if second else 6)
        assert cfg.optim_wrapper.optimizer.lr == (7 if second else 1e-3)


def test_the_sppe_alone_is_what_rmpe_runs(tiny_stages):
    """What ParallelSPPE overrides holds for the plain model, too."""
    stage1, stage2 = read_stages(*tiny_stages)
    stage2.model.sppe.test_cfg = dict(flip_test=False, flip_mode='heatmap')
    stage2.model.test_cfg = dict(flip_test=True, sdtn='heatmaps')
    stage2.model.data_preprocessor = dict(type='PoseDataPreprocessor')
    model = ablation_configs(stage1, stage2)['stage2_plain'].model
    assert model.test_cfg == dict(flip_test=True, flip_mode='heatmap')
    assert model.data_preprocessor == dict(type='PoseDataPreprocessor')


def test_wrapped_data_sets_change_too(tiny_stages):
    stage1, stage2 = read_stages(*tiny_stages)
    for cfg in (stage1, stage2):
        inner = cfg.train_dataloader.dataset
        cfg.train_dataloader.dataset = dict(
            type='RepeatDataset',
            times=2,
            dataset=dict(type='CombinedDataset', datasets=[inner, inner]),
        )
    cfg = ablation_configs(stage1, stage2)['stage2_plain']
    for inner in cfg.train_dataloader.dataset.dataset.datasets:
        kinds = [step['type'] for step in inner.pipeline]
        assert kinds == [*PLAIN, 'PackPoseInputs']


def test_evaluators(tiny_stages):
    _, cfg = read_stages(*tiny_stages)
    own = dict(type='ParametricPoseNMS', preset='mpii')
    ann_file = cfg.test_evaluator.ann_file
    cfg.test_evaluator = dict(
        type='PoseNMSCocoMetric',
        ann_file=ann_file,
        score_mode='bbox',
        nms=own,
        outfile_prefix='x',
    )
    none, oks, parametric = nms_evaluators(cfg)
    shared = dict(
        type='PoseNMSCocoMetric', ann_file=ann_file, score_mode='bbox'
    )
    assert none == dict(shared, prefix='none', nms=None)
    assert oks['nms'] == dict(type='OKSNMS', thr=0.9)
    assert parametric == dict(shared, prefix='parametric', nms=own)
    cfg.test_evaluator = dict(type='CocoMetric', nms_mode='none', nms_thr=0.5)
    parametric = nms_evaluators(cfg)[2]
    assert parametric['nms']['preset'] == 'coco'
    assert not {'nms_mode', 'nms_thr'} & set(parametric)


@pytest.mark.parametrize(
    'stage, options, said',
    [
        (0, {'test_dataloader.dataset.bbox_file': ''}, 'bbox_file'),
        (1, {'model.parallel': None}, 'parallel branch'),
        (1, {'model.type': 'TopdownPoseEstimator'}, 'a ParallelSPPE with'),
        (0, {'train_dataloader.dataset.pipeline.1.type': 'X'}, 'PGPGTransf'),
        (1, {'train_dataloader.dataset.pipeline.5.type': 'X'}, 'CenterTarget'),
    ],
)
def test_what_cannot_be_ablated_is_told(tiny_stages, stage, options, said):
    path = tiny_stages[stage]
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options)
    cfg.dump(path)
    with pytest.raises(ConfigError, match=said):
        read_stages(*tiny_stages)


def test_other_evaluators_are_refused(tiny_stages):
    _, cfg = read_stages(*tiny_stages)
    for evaluator in (dict(type='PCKAccuracy'), [cfg.test_evaluator] * 2):
        cfg.test_evaluator = evaluator
        with pytest.raises(ConfigError, match='COCO metric'):
            nms_evaluators(cfg)


# Of each test, AP without NMS, with OKS NMS and with the parametric one.
APS = {
    'test_plain': (0.4, 0.45, 0.46),
    'test_jitter': (0.5, 0.51, 0.52),
    'test_pgpg': (0.55, 0.56, 0.57),
    'test_sstn': (0.6, 0.61, 0.62),
    'test_parallel': (0.65, 0.7, 0.72),
    'test_annotated': (0.8, 0.81, 0.82),
}


def three_ways(values):
    return {
        f'{name}/{metric}': value + offset
        for name, value in zip(
            ('none', 'oks', 'parametric'), values, strict=True
        )
        for metric, offset in (('AP', 0), ('AP .5', 0.1), ('AR', 0.05))
    }


def result(shift=0.0):
    """A made-up result; ``shift`` is added to the plain model's AP."""
    metrics = {name: three_ways(values) for name, values in APS.items()}
    metrics['test_plain'] = three_ways(np.add(APS['test_plain'], shift))
    return metrics


def rows(table):
    lines = [line.strip('| ') for line in table.splitlines()[2:]]
    cells = [[c.strip() for c in line.split('|')] for line in lines]
    return {first: rest for first, *rest in cells}


def test_table_with_one_seed():
    table = rows(ablation_table([result()]))
    labels = [row.label for row in ROWS if row.boxes != 'redundant']
    assert list(table) == labels
    assert table['plain two-step'] == ['0.400', '0.500', '0.450']
    label = 'RMPE: all that + pose NMS'
    assert table[label] == ['0.720', '0.820', '0.770', '+0.320']
    assert table['+ jitter (in place of PGPG)'][0] == '0.500'
    assert table['RMPE with OKS NMS instead'][0] == '0.700'
    assert table['plain two-step with OKS NMS'][0] == '0.450'
    assert table['RMPE on annotated boxes (oracle)'][0] == '0.820'


def test_spread_over_seeds():
    table = rows(ablation_table([result(), result(0.1), result(-0.1)]))
    assert table['plain two-step'][0] == '0.400 ± 0.100'
    ap, _, ar, gain = table['+ PGPG']
    assert (ap, ar, gain) == (
        '0.550 ± 0.000', '0.600 ± 0.000', '+0.150 ± 0.100'
    )  # fmt: skip
