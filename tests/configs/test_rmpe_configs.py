"""Every config of RMPE builds, takes a training step and predicts."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from config_files import ROOT, read_config
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, METRICS, MODELS, TRANSFORMS

# Data sets whose configs hold all settings, and train from scratch.
SMALL_DATA = ('coco_mini', 'generated')
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for dataset in ('coco', 'mpii', 'crowdpose', *SMALL_DATA)
    for path in (ROOT / 'configs' / 'rmpe' / dataset).glob('*.py')
)
# The image is an array.
SKIPPED = {'LoadImage', 'LoadImageOrSkip'}
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
    drop_init(cfg._cfg_dict)
    if any(name in path for name in FLEXIBLE):
        shrink_input(cfg._cfg_dict)
    return cfg


def drop_init(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ('init_cfg', 'checkpoint'):
                node[key] = None
            else:
                drop_init(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            drop_init(value)


def shrink_input(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in SMALL:
                node[key] = SMALL[key]
            else:
                shrink_input(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            shrink_input(value)


def as_trained(model, parallel):
    """Load weights as those of a training: an untrained twin is refused."""
    state = model.state_dict()
    if parallel is not None and parallel.get('sppe') is not None:
        twin = MODELS.build(parallel.sppe).state_dict()
        state.update({f'parallel_sppe.{k}': v for k, v in twin.items()})
    model.load_state_dict(state)


def person(cfg, seed):
    """A person in a picture, as the config's data set would give it."""
    rng = np.random.default_rng(seed)
    dataset = DATASETS.get(cfg.train_dataloader.dataset.type)
    meta = parse_pose_metainfo(deepcopy(dataset.METAINFO))
    joints = meta['num_keypoints']
    bbox = np.array([[60, 20, 120, 130]], dtype=np.float32)
    keypoints = rng.uniform((65, 25), (115, 125), (1, joints, 2))
    results = dict(
        img=rng.integers(0, 255, (150, 200, 3), dtype=np.uint8),
        img_shape=(150, 200),
        ori_shape=(150, 200),
        img_path='an image',
        img_id=seed,
        id=seed,
        bbox=bbox,
        bbox_score=np.ones(1, dtype=np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=np.ones((1, joints), dtype=np.float32),
        dataset_keypoint_weights=meta['dataset_keypoint_weights'],
        flip_indices=meta['flip_indices'],
        upper_body_ids=meta['upper_body_ids'],
        lower_body_ids=meta['lower_body_ids'],
    )
    if 'Mpii' in cfg.train_dataloader.dataset.type:
        # This data set gives the box in both forms.
        results['bbox_center'] = (bbox[:, :2] + bbox[:, 2:]) / 2
        results['bbox_scale'] = bbox[:, 2:] - bbox[:, :2]
    return results


def batch(cfg, dataloader):
    pipeline = Compose(
        [
            TRANSFORMS.build(t)
            for t in dataloader.dataset.pipeline
            if t['type'] not in SKIPPED
        ]
    )
    np.random.seed(0)  # noqa: NPY002 (mmpose's transforms use it)
    return pseudo_collate([pipeline(person(cfg, seed)) for seed in (0, 1)])


@pytest.mark.parametrize('path', CONFIGS)
def test_config(path):
    if 'ViTPose' in path:
        pytest.importorskip('mmpretrain.models', reason='ViTPose needs it')
    cfg = load(path)
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    optimizer.optimizer.param_groups[0]  # a group for every parameter
    data = batch(cfg, cfg.train_dataloader)
    full = Path(path).name.startswith('rmpe')
    if full or Path(path).name.startswith('pgpg'):
        for sample in data['data_samples']:
            # a proposal, not the annotated box
            assert np.abs(sample.input_center - [90, 75]).min() > 0.1
    data = model.data_preprocessor(data, True)
    as_trained(model, cfg.model.get('parallel'))
    losses = model(**data, mode='loss')
    parsed, _ = model.parse_losses(losses)
    assert parsed.isfinite()
    with_branch = full and cfg.model.get('parallel') is not None
    assert ('loss_center' in losses) == with_branch
    optimizer.backward(parsed)
    # several processes stop at a parameter without a gradient
    unused = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert bool(unused) == cfg.get('find_unused_parameters', False), unused
    optimizer.step()
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


@pytest.mark.parametrize('path', CONFIGS)
def test_config_is_short_and_complete(path):
    source = (ROOT / path).read_text(encoding='utf-8').splitlines()
    lines = [x for x in source if x.strip() and not x.startswith('#')]
    small_data = any(f'/{name}/' in path for name in SMALL_DATA)
    assert len(lines) <= 15 or small_data
    cfg = read_config(path)
    assert METRICS.get(cfg.val_evaluator.type) is not None
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
    assert rates[id(model.sstn.theta_fc.weight)] == pytest.approx(base / 10)
    assert rates[id(model.sstn.theta_fc.bias)] == pytest.approx(base / 10)
    rate = rates[id(model.localizer.conv1.conv.weight)]
    assert rate == pytest.approx(base / 2)
    if name.startswith('ViT'):
        # the decay of the layers is still there
        first = rates[id(next(model.backbone.layers[0].parameters()))]
        last = rates[id(next(model.backbone.layers[-1].parameters()))]
        assert first < last <= base


def test_the_documented_config(tmp_path):
    """The recipe of docs/rmpe.md trains, and keeps to its own advice."""
    text = (ROOT / 'docs' / 'rmpe.md').read_text(encoding='utf-8')
    code = text.split('<!-- config -->\n```python\n')[1].split('```')[0]
    (tmp_path / 'config.py').write_text(code)
    cfg = Config.fromfile(tmp_path / 'config.py')
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds.index('PGPGTransform') < kinds.index('RandomFlip')
    assert 'RandomHalfBody' not in kinds
    assert cfg.val_evaluator.nms.type == 'ParametricPoseNMS'
    assert 'ann_file' in cfg.val_evaluator
    drop_init(cfg._cfg_dict)
    shrink_input(cfg._cfg_dict)
    model = MODELS.build(cfg.model)
    data = batch(cfg, cfg.train_dataloader)
    as_trained(model, cfg.model.parallel)
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert {'loss_kpt', 'loss_center'} <= set(losses)


@pytest.mark.parametrize(
    'path', [path for path in CONFIGS if '/td-hm_hourglass' not in path]
)
def test_bad_samples_do_not_end_the_training(path):
    """But for mmpose's own pipelines, and for generated pictures."""
    cfg = read_config(path)
    types = [t['type'] for t in cfg.train_dataloader.dataset.pipeline]
    assert types[0] == 'LoadImageOrSkip'
    assert ('generated' in path) != (types[1] == 'SanitizeInstances')
    assert 'LoadImage' not in types
