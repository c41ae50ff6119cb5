"""Every config of SPM builds, takes a training step and predicts."""

from copy import deepcopy

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
from device_waits import Waits, train_on_meta
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import (
    DATASETS,
    KEYPOINT_CODECS,
    METRICS,
)

from rmpe_spm.synthetic.coco_annotations import encode_rle

FOLDERS = ('coco', 'mpii', 'crowdpose', 'coco_mini', 'generated', 'ablations')
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / 'configs' / 'spm' / folder).glob('spm_*.py')
)
SIZE = 64  # the least that every backbone divides


SMALL = dict(input_size=(SIZE, SIZE), heatmap_size=(SIZE // 4, SIZE // 4))


def load(path):
    cfg = read_config(path)
    make_small(cfg._cfg_dict, **SMALL)
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
    return run_pipeline(dataloader, [people(cfg) for _ in range(2)])


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
    model = build_model(cfg)
    # no deformable convolution, nothing that must be compiled
    modules = {type(module).__module__ for module in model.modules()}
    assert not [name for name in modules if name.startswith('mmcv.ops')]
    data = batch(cfg, cfg.train_dataloader)
    fields = data['data_samples'][0].gt_fields
    assert fields.heatmap_mask.any() and not fields.heatmap_mask.all()
    assert fields.displacement_weights.any()
    losses = train_step(cfg, model, data)
    assert {'loss/heatmap', 'loss/displacement'} <= set(losses)
    assert ('loss/keypoint' in losses) == (
        bool(cfg.model.head.get('keypoint_heatmaps'))
    )
    assert ('loss/joint_offset' in losses) == ('joint-offsets' in path)

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
        model = build_model(cfg)
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
    types = [t['type'] for t in pipeline]
    # bad samples do not end the training
    assert types[0] == 'LoadImageOrSkip'
    assert ('generated' in path) != (types[1] == 'SanitizeInstances')
    # behind an affine transform mmpose's RandomFlip confuses width and height
    if window is None:
        assert codec.input_size[0] == codec.input_size[1]
    else:
        assert types.index('RandomFlip') < types.index(window.type)
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
    cfg = documented_config('spm.md', tmp_path / 'config.py')
    make_small(cfg._cfg_dict, **SMALL)
    cfg.find_unused_parameters = False  # which DEKR's config has
    data = batch(cfg, cfg.train_dataloader)
    losses = train_step(cfg, build_model(cfg), data)
    assert {'loss/heatmap', 'loss/displacement'} <= set(losses)
    assert 'heatmap_mask' in data['data_samples'][0].gt_fields
