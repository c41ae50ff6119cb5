import pytest
from mmengine.config import Config
from mmpose.models import build_pose_estimator

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.rmpe_ablation import (
    ablation_configs,
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


def test_configs_can_be_read_back(configs, tmp_path):
    for name, cfg in configs.items():
        cfg.dump(tmp_path / f'{name}.py')
        again = Config.fromfile(tmp_path / f'{name}.py')
        assert again.to_dict() == cfg.to_dict()
        build_pose_estimator(again.model)


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
        (1, {'model.type': 'TopdownPoseEstimator'}, 'TopdownPoseEstimator'),
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


def test_other_refusals(tiny_stages):
    stage1, stage2 = tiny_stages
    with pytest.raises(ConfigError, match='does not exist'):
        read_stages(stage1, 'absent.py')
    with pytest.raises(ConfigError, match='ParallelSPPE'):
        read_stages(stage1, stage1)
    cfg = Config.fromfile(stage2)
    cfg.train_cfg = dict(by_epoch=False, max_iters=9)
    cfg.dump(stage2)
    with pytest.raises(ConfigError, match='max_epochs'):
        read_stages(stage1, stage2)


def test_other_evaluators_are_refused(tiny_stages):
    _, cfg = read_stages(*tiny_stages)
    for evaluator in (dict(type='PCKAccuracy'), [cfg.test_evaluator] * 2):
        cfg.test_evaluator = evaluator
        with pytest.raises(ConfigError, match='COCO metric'):
            nms_evaluators(cfg)


def test_options_reach_both_stages(tiny_stages):
    options = {'train_cfg.max_epochs': 9}
    for cfg in read_stages(*tiny_stages, options):
        assert cfg.train_cfg.max_epochs == 9
