"""Every config of RMPE builds, takes a training step and predicts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from config_files import (
    ROOT,
    build_model,
    documented_config,
    make_small,
    read_config,
    run_pipeline,
    train_step,
)
from device_waits import train_on_meta
from mmengine.optim import build_optim_wrapper
from mmpose.models.heads.coord_cls_heads import rtmcc_head
from mmpose.registry import METRICS, MODELS
from topdown_people import person

# Data sets whose configs hold all settings, and train from scratch.
SMALL_DATA = ('coco_mini', 'generated')
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for dataset in ('coco', 'mpii', 'crowdpose', *SMALL_DATA)
    for path in (ROOT / 'configs' / 'rmpe' / dataset).glob('*.py')
)
# Nets whose input may be made small; the others have it in their weights.
SMALL = dict(
    input_size=(64, 64),
    heatmap_size=(16, 16),
    in_featuremap_size=(16, 16),
    localizer_size=(32, 32),
)
FLEXIBLE = (
    'hrnet',
    'res50',
    'hourglass',
    'mobilenetv2',
    'resnet18',
    'movenet',
)


def load(path):
    """Load a config without pretrained weights, and with a small input."""
    cfg = read_config(path)
    flexible = any(name in path for name in FLEXIBLE)
    make_small(cfg._cfg_dict, **(SMALL if flexible else {}))
    return cfg


def batch(cfg, dataloader):
    return run_pipeline(dataloader, [person(cfg, seed) for seed in (0, 1)])


@pytest.mark.parametrize('path', CONFIGS)
def test_config(path):
    if 'ViTPose' in path:
        pytest.importorskip('mmpretrain.models', reason='ViTPose needs it')
    cfg = load(path)
    torch.manual_seed(0)
    model = build_model(cfg)
    data = batch(cfg, cfg.train_dataloader)
    full = Path(path).name.startswith('rmpe')
    if full or Path(path).name.startswith('pgpg'):
        for sample in data['data_samples']:
            # a proposal, not the annotated box
            assert np.abs(sample.input_center - [90, 75]).min() > 0.1
    losses = train_step(cfg, model, data)
    with_branch = full and cfg.model.get('parallel') is not None
    assert ('loss_center' in losses) == with_branch
    if full and model.sstn.in_channels is not None:
        assert model.sstn.theta_fc.bias.tolist() != [1, 0, 0]
    if with_branch:
        assert not any(
            p.requires_grad for p in model.parallel.module.parameters()
        )
    data = model.data_preprocessor(batch(cfg, cfg.test_dataloader), False)
    model.eval()
    with torch.no_grad():
        results = model(**data, mode='predict')
    joints = person(cfg, 0)['keypoints'].shape[1]
    for result in results:
        keypoints = result.pred_instances.keypoints
        assert keypoints.shape == (1, joints, 2)
        assert np.isfinite(keypoints).all()


FAMILIES = [
    'coco/rmpe_paper_hrnet-w32_8xb64-30e_coco-256x192',
    'coco/sstn_hrnet-w32_8xb64-30e_coco-256x192',
    'coco/rmpe_rtmpose-s_8xb256-30e_coco-256x192',
    'coco/rmpe_ViTPose-small_8xb64-30e_coco-256x192',
    'coco_mini/rmpe_mobilenetv2_1xb16-1e_coco_mini-128x96',
    'coco_mini/rmpe_movenet-lightning_1xb16-1e_coco_mini-192x192',
    'coco_mini/rmpe_movenet-lightning_pose_1xb16-1e_coco_mini-192x192',
    'coco_mini/rmpe_movenet-lightning_regression_1xb16-1e_coco_mini-192x192',
    'coco_mini/rmpe_movenet-lightning_second-look_1xb16-1e_coco_mini-192x192',
]


@pytest.mark.parametrize('name', FAMILIES)
def test_nothing_waits_for_the_device(name, monkeypatch):
    """But mmpose's heads, for numpy: to decode, and to tell an accuracy.

    The hourglass's, CPMHead, always tells one.
    """
    if 'ViTPose' in name:
        pytest.importorskip('mmpretrain.models', reason='ViTPose needs it')
    cfg = load(f'configs/rmpe/{name}.py')
    cfg.model.train_cfg = dict(compute_acc=False)
    monkeypatch.setattr(rtmcc_head, 'to_numpy', lambda tensors: tensors)
    accuracy = 'simcc_pck_accuracy'
    monkeypatch.setattr(rtmcc_head, accuracy, lambda **_: (0, 0.0, 0))
    model = build_model(cfg)
    assert train_on_meta(model, batch(cfg, cfg.train_dataloader)) == []
    size = cfg.codec.input_size
    width, height = getattr(model, 'crop_size', size)
    crops = torch.empty(2, 3, height, width, device='meta')
    outputs = model.eval()(crops, None, mode='tensor')
    while isinstance(outputs, tuple | list):
        outputs = outputs[-1]
    assert outputs.is_meta and len(outputs) == 2


@pytest.mark.parametrize('path', CONFIGS)
def test_config_is_short_and_complete(path):
    source = (ROOT / path).read_text(encoding='utf-8').splitlines()
    lines = [x for x in source if x.strip() and not x.startswith('#')]
    small_data = any(f'/{name}/' in path for name in SMALL_DATA)
    assert len(lines) <= 15 or small_data
    cfg = read_config(path)
    # ours, which checks the annotations and equals mmpose's; PCK is mmpose's
    metric = METRICS.get(cfg.val_evaluator.type)
    assert metric.__module__.startswith('rmpe_spm.') != ('/mpii/' in path)
    assert cfg.val_evaluator == cfg.test_evaluator
    epochs = cfg.train_cfg.max_epochs
    assert f'{epochs}e_' in path
    assert max(s.end for s in cfg.param_scheduler if s.by_epoch) == epochs
    parallel = cfg.model.get('parallel') or {}
    published = ('https://', 'rmpe_spm://')
    for weights in (cfg.load_from, parallel.get('checkpoint')):
        if weights is not None and not weights.startswith(published):
            # the last epoch of the config that the folder is named after
            config = (ROOT / path).with_name(f'{Path(weights).parent.name}.py')
            last = read_config(config).train_cfg.max_epochs
            assert Path(weights).name == f'epoch_{last}.pth'
    if '/td-hm_hourglass' not in path:  # mmpose's own pipelines
        # bad samples do not end the training
        types = [t['type'] for t in cfg.train_dataloader.dataset.pipeline]
        assert types[0] == 'LoadImageOrSkip'
        assert ('generated' in path) != (types[1] == 'SanitizeInstances')
    ships = str(cfg.load_from).startswith('rmpe_spm://')
    assert (cfg.load_from is None or ships) == (
        Path(path).name.startswith(('td-hm', 'simcc'))
        or (Path(path).name.startswith('pgpg') and small_data)
    )


@pytest.mark.parametrize('name', ['res50', 'hrnet-w32', 'ViTPose-small'])
def test_the_localizer_learns_slowly(name):
    cfg = load(f'configs/rmpe/coco/rmpe_{name}_8xb64-30e_coco-256x192.py')
    model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {
        id(parameter): group['lr']
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    base = cfg.optim_wrapper.optimizer.lr
    assert rates[id(model.head.final_layer.weight)] == base
    for part, slower in ((model.sstn, 10), (model.localizer, 2)):
        for parameter in part.parameters():
            assert rates[id(parameter)] == pytest.approx(base / slower)
    assert name != 'res50' or len(list(model.sstn.parameters())) == 2
    if name.startswith('ViT'):
        # the decay of the layers is still there
        first = rates[id(next(model.backbone.layers[0].parameters()))]
        last = rates[id(next(model.backbone.layers[-1].parameters()))]
        assert first < last <= base


def test_the_documented_config(tmp_path):
    """The recipe of docs/rmpe.md trains, and keeps to its own advice."""
    cfg = documented_config('rmpe.md', tmp_path / 'config.py')
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds.index('PGPGTransform') < kinds.index('RandomFlip')
    assert 'RandomHalfBody' not in kinds
    assert cfg.val_evaluator.nms.type == 'ParametricPoseNMS'
    assert 'ann_file' in cfg.val_evaluator
    make_small(cfg._cfg_dict, **SMALL)
    cfg.find_unused_parameters = True  # the localizer's last layers
    data = batch(cfg, cfg.train_dataloader)
    losses = train_step(cfg, build_model(cfg), data)
    assert {'loss_kpt', 'loss_center'} <= set(losses)
