"""Every config of SPM builds, takes a training step and predicts."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from config_files import ROOT, read_config
from device_waits import Waits, train_on_meta
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import (
    DATASETS,
    KEYPOINT_CODECS,
    METRICS,
    MODELS,
    TRANSFORMS,
)

from rmpe_spm.synthetic.coco_annotations import encode_rle

FOLDERS = ('coco', 'mpii', 'crowdpose', 'coco_mini', 'generated', 'ablations')
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / 'configs' / 'spm' / folder).glob('spm_*.py')
)
SIZE = 64  # the least that every backbone divides


def shrink(node):
    """Drop pretrained weights and make the input small, in place."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == 'init_cfg':
                node[key] = None
            elif key == 'input_size':
                node[key] = (SIZE, SIZE)
            elif key == 'heatmap_size':
                node[key] = (SIZE // 4, SIZE // 4)
            else:
                shrink(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            shrink(value)


def load(path):
    cfg = read_config(path)
    shrink(cfg._cfg_dict)
    if cfg.model.backbone.type == 'StackedHourglass':
        cfg.model.backbone.num_stacks = cfg.model.head.num_stages = 2
    if 'ablations' in path:  # the backbone is that of another config
        cfg.model.backbone = dict(type='MobileNetV2', out_indices=(1, 2, 4, 6))
        cfg.model.neck.in_channels = [24, 32, 96, 320]
        cfg.find_unused_parameters = True
    return cfg


def people(cfg):
    """A picture with two people, as the config's data set would give it."""
    rng = np.random.default_rng(0)
    dataset = DATASETS.get(cfg.train_dataloader.dataset.type)
    meta = parse_pose_metainfo(deepcopy(dataset.METAINFO))
    joints = meta['num_keypoints']
    keypoints = rng.uniform(20, 80, (2, joints, 2))
    keypoints[1, :, 0] += 70
    crowd = np.zeros((100, 170), np.uint8)
    crowd[:60, 60:110] = 1  # windows around either person reach into it
    return dict(
        img=rng.integers(0, 255, (100, 170, 3), dtype=np.uint8),
        img_shape=(100, 170),
        ori_shape=(100, 170),
        img_path='an image',
        img_id=0,
        id=0,
        bbox=np.array([[20, 20, 80, 80], [90, 20, 150, 80.0]]),
        group_bbox=np.array([[20, 20, 150, 80]], dtype=np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=np.ones((2, joints), dtype=np.float32),
        invalid_segs=[encode_rle(crowd)],
        flip_indices=meta['flip_indices'],
        skeleton_links=meta['skeleton_links'],
    )


def batch(cfg, dataloader):
    pipeline = Compose(
        [
            TRANSFORMS.build(t)
            for t in dataloader.dataset.pipeline
            if not t['type'].startswith('LoadImage')
        ]
    )
    np.random.seed(0)  # noqa: NPY002 (mmpose's transforms use it)
    return pseudo_collate([pipeline(people(cfg)) for _ in range(2)])


def window_of(cfg):
    """The transform that trains on windows of the pictures, if any."""
    for step in cfg.train_dataloader.dataset.pipeline:
        if step['type'] == 'BottomupInstanceAffine':
            return step
    return None


def see_people_everywhere(model):
    """Let an untrained network find somebody."""
    stage = model.head.stages[-1]
    movenet = hasattr(stage, 'root')
    layer = stage.root[-1] if movenet else stage.heatmap_layer
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(layer.bias, 0.5)


@pytest.mark.parametrize('path', CONFIGS)
def test_config(path):
    cfg = load(path)
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    # no deformable convolution, nothing that must be compiled
    modules = {type(module).__module__ for module in model.modules()}
    assert not [name for name in modules if name.startswith('mmcv.ops')]
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    data = model.data_preprocessor(batch(cfg, cfg.train_dataloader), True)
    fields = data['data_samples'][0].gt_fields
    assert fields.heatmap_mask.any() and not fields.heatmap_mask.all()
    assert fields.displacement_weights.any()
    losses = model(**data, mode='loss')
    assert {'loss/heatmap', 'loss/displacement'} <= set(losses)
    assert ('loss/keypoint' in losses) == (
        bool(cfg.model.head.get('keypoint_heatmaps'))
    )
    assert ('loss/joint_offset' in losses) == ('joint-offsets' in path)
    parsed, _ = model.parse_losses(losses)
    assert parsed.isfinite()
    optimizer.backward(parsed)
    # several processes stop at a parameter without a gradient
    unused = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert bool(unused) == cfg.get('find_unused_parameters', False), unused
    optimizer.step()

    data = batch(cfg, cfg.test_dataloader)
    if '_multiscale_' in path:
        # packed as the data loader does it
        data['inputs'] = [list(scale) for scale in data['inputs']]
    model.eval()
    see_people_everywhere(model)
    with torch.no_grad():
        results = model.test_step(data)
    joints = people(cfg)['keypoints'].shape[1]
    assert len(results) == 2
    for result in results:
        instances = result.pred_instances
        assert len(instances) > 0
        assert instances.keypoints.shape[1:] == (joints, 2)
        assert np.isfinite(instances.keypoints).all()
        assert instances.bboxes.shape == (len(instances), 4)


FAMILIES = [
    'ablations/spm_hrnet-w32_joint-offsets_8xb10-140e_coco-512x512',
    'coco/spm_cspnext-s_8xb32-140e_coco-256x256',
    'coco/spm_hourglass8_8xb4-140e_coco-384x384',
    'coco/spm_movenet-multipose_8xb10-140e_coco-384x384',
    'coco_mini/spm_mobilenetv2_windows_1xb8-16e_coco_mini-256x256',
]


@pytest.mark.parametrize('name', FAMILIES)
def test_nothing_waits_for_the_device(name):
    """But at a test the one copy of all poses to the host, at its end."""
    cfg = load(f'configs/spm/{name}.py')
    with torch.device('meta'):
        model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    assert train_on_meta(model, batch(cfg, cfg.train_dataloader)) == []
    head = model.eval().head
    indices = [*range(head.num_keypoints)]
    metas = [dict(flip_indices=indices, input_size=(SIZE, SIZE))] * 2
    images = torch.empty(2, 3, SIZE, SIZE, device='meta')
    with Waits() as waits:
        feats = model.extract_feat(images)
        if model.test_cfg.get('flip_test'):
            feats = [feats, feats]
        maps = head._predict_maps(feats, metas, model.test_cfg)
        poses = head.decode_maps(maps, model.test_cfg)
    assert poses.keypoints.is_meta and waits.found == []


@pytest.mark.parametrize(
    'path', [p for p in CONFIGS if 'ablations' in p or 'hourglass' in p]
)
def test_builds_as_written(path):
    """The configs that the test above makes smaller."""
    cfg = read_config(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    if 'hourglass' in path:
        stacks = model.backbone.hourglasses
        assert len(stacks) == len(model.head.stages) == 8
    else:
        channels = model.backbone.stage4_cfg['num_channels']
        assert channels == (32, 64, 128, 256)


def test_forms_are_those_of_the_names():
    """What learns quickest, and by name the paper's; MoveNet has its own."""
    learns = {
        'displacement_location': 'parent',
        'missing_parent': 'ancestor',
        'generate_keypoint_heatmaps': True,
    }
    paper = {
        'displacement_location': 'root',
        'missing_parent': 'skip',
        'generate_keypoint_heatmaps': False,
    }
    others = 'ablations', '_flat_', '_joint-offsets_', '_parent-located_'
    for path in CONFIGS:
        if any(name in path for name in ('movenet', *others)):
            continue
        named = any(n in path for n in ('_paper_', 'hourgl', '_hierarch'))
        cfg = read_config(path)
        codec = KEYPOINT_CODECS.build(cfg.codec)
        form = {key: getattr(codec, key) for key in learns}
        assert form == (paper if named else learns), path
        heatmaps = bool(cfg.model.head.get('keypoint_heatmaps'))
        snaps = 'snap_thr' in cfg.model.test_cfg
        assert heatmaps == snaps == (not named), path


def test_index_lists_every_config():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text('utf-8'))
    listed = []
    for name in index['Import']:
        if name.startswith('configs/spm/'):
            metafile = yaml.safe_load((ROOT / name).read_text('utf-8'))
            for model in metafile['Models']:
                assert Path(model['Config']).stem == model['Name']
                listed.append(model['Config'])
    ablations = (
        '/ablations/',
        '_heads',
        '_flat_',
        '_hierarchical_',
        '_joint-offsets_',
        '_parent-located_',
    )
    assert sorted(listed) == [
        config
        for config in CONFIGS
        if not any(name in config for name in ablations)
    ]


@pytest.mark.parametrize('path', [c for c in CONFIGS if 'untrained' not in c])
def test_config_is_consistent(path):
    cfg = read_config(path)
    epochs = cfg.train_cfg.max_epochs
    assert f'{epochs}e_' in path
    assert max(s.end for s in cfg.param_scheduler if s.by_epoch) == epochs
    assert f'xb{cfg.train_dataloader.batch_size}-' in path
    if '_1xb' not in path:
        assert cfg.auto_scale_lr.base_batch_size == (
            8 * cfg.train_dataloader.batch_size
        )
    # ours, which checks the annotations and equals mmpose's
    metric = METRICS.get(cfg.val_evaluator.type)
    assert metric.__module__.startswith('rmpe_spm.')
    codec = cfg.codec
    test_size = cfg.get('picture_size', codec.input_size)
    assert path.endswith('-{}x{}.py'.format(*test_size))
    window = window_of(cfg)
    assert ('picture_size' in cfg) == (window is not None)
    if window is not None:
        # MoveNet's are trained in the one size that they are tested in
        zoom = 1 if 'movenet' in path else 2
        assert window.picture_size == tuple(zoom * side for side in test_size)
    pipeline = cfg.train_dataloader.dataset.pipeline
    encoders = [t.encoder for t in pipeline if 'encoder' in t]
    assert encoders == [codec] and cfg.model.head.decoder == codec
    test_pipeline = cfg.test_dataloader.dataset.pipeline
    for transforms, size in (
        (pipeline, codec.input_size),
        (test_pipeline, test_size),
    ):
        sizes = [t.input_size for t in transforms if 'input_size' in t]
        assert sizes == [size]
    stride = np.divide(codec.input_size, codec.heatmap_size)
    assert stride.tolist() == [4, 4]
    # at test sizes that are no square too, the network must divide
    hourglass = cfg.model.backbone.type == 'StackedHourglass'
    divisor = 64 if hourglass else 32
    if cfg.test_dataloader.dataset.get('protocol') == 'group':
        # groups are cropped to the size of the training
        assert not any(size % divisor for size in codec.input_size)
    else:
        factors = [t.size_factor for t in test_pipeline if 'size_factor' in t]
        assert factors == [divisor]


@pytest.mark.parametrize(
    'path',
    [p for p in CONFIGS if '_multiscale_' in p and 'untrained' not in p],
)
def test_multiscale_configs_test_what_the_single_scale_ones_train(path):
    cfg = read_config(path)
    single = read_config(path.replace('_multiscale', ''))
    assert cfg.train_dataloader == single.train_dataloader
    assert cfg.model.head == single.model.head
    # the windows are cut from the largest size
    resize = cfg.test_dataloader.dataset.pipeline[1]
    window = window_of(cfg)
    largest = [max(resize.aug_scales) * side for side in resize.input_size]
    assert largest == list(window.picture_size)
    # who fills a window in the training counts in the test
    low, high = cfg.model.test_cfg.pose_size_range
    people = [
        min(window.input_size) / window.get('padding', 1.15) * factor
        for factor in window.scale_factor
    ]
    assert low < sum(people) / 2 and people[1] < high


def test_the_documented_config(tmp_path):
    """The recipe of docs/spm.md trains."""
    text = (ROOT / 'docs' / 'spm.md').read_text(encoding='utf-8')
    code = text.split('<!-- config -->\n```python\n')[1].split('```')[0]
    (tmp_path / 'config.py').write_text(code)
    cfg = Config.fromfile(tmp_path / 'config.py')
    shrink(cfg._cfg_dict)
    model = MODELS.build(cfg.model)
    data = batch(cfg, cfg.train_dataloader)
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert {'loss/heatmap', 'loss/displacement'} <= set(losses)
    assert 'heatmap_mask' in data['data_samples'][0].gt_fields


@pytest.mark.parametrize('path', CONFIGS)
def test_joints_stay_on_the_picture_when_it_is_mirrored(path):
    """At the config's own input size, which need not be square."""
    cfg = read_config(path)
    affine = ('BottomupRandomAffine', 'BottomupInstanceAffine')
    steps = [
        deepcopy(step)
        for step in cfg.train_dataloader.dataset.pipeline
        if step['type'] in ('RandomFlip', *affine)
    ]
    first, second = sorted(step['type'] for step in steps)
    assert first in affine and second == 'RandomFlip'
    for step in steps:
        if step['type'] == 'RandomFlip':
            step['prob'] = 1.0
        else:
            step.update(shift_prob=0.0, rotate_prob=0.0)
    count = 17
    image = np.zeros((240, 320, 3), np.uint8)
    # a spot left of the middle, so that it moves when it is mirrored
    x, y = 100, 90
    image[y - 6 : y + 7, x - 6 : x + 7] = 255
    results = dict(
        img=image,
        img_shape=(240, 320),
        ori_shape=(240, 320),
        keypoints=np.full((1, count, 2), (x, y), np.float32),
        keypoints_visible=np.ones((1, count), np.float32),
        # its middle is not the spot's, for windows around it
        bbox=np.array([[x - 20, y - 30, x + 100, y + 40]], np.float32),
        flip_indices=list(range(count)),
    )
    out = Compose([TRANSFORMS.build(step) for step in steps])(results)
    rows, columns = np.nonzero(out['img'][..., 0] > 127)
    spot = columns.mean(), rows.mean()
    assert columns.mean() > out['img'].shape[1] / 2
    np.testing.assert_allclose(out['keypoints'][0, 0], spot, atol=1)


@pytest.mark.parametrize('path', CONFIGS)
def test_bad_samples_do_not_end_the_training(path):
    cfg = read_config(path)
    types = [t['type'] for t in cfg.train_dataloader.dataset.pipeline]
    assert types[0] == 'LoadImageOrSkip'
    assert ('generated' in path) != (types[1] == 'SanitizeInstances')
