import json
from pathlib import Path

import mpii_files
import pytest
import torch
from mmpose.models import build_pose_estimator

from rmpe_spm.apis import preflight
from rmpe_spm.apis.preflight import ConfigError, check_data, check_model


def test_good_set_up(tiny_config):
    for mode in ('train', 'test'):
        assert check_data(tiny_config, mode) == (17, [])
    model = build_pose_estimator(tiny_config.model)
    model.backbone.conv1.eval()
    before = {name: m.training for name, m in model.named_modules()}
    state = {k: v.clone() for k, v in model.state_dict().items()}
    check_model(model, 17)
    assert {n: m.training for n, m in model.named_modules()} == before
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize(
    'mode, key, value',
    [
        ('train', 'train_dataloader.dataset.ann_file', 'no.json'),
        ('train', 'val_dataloader.dataset.ann_file', 'no.json'),
        ('test', 'test_dataloader.dataset.ann_file', 'no.json'),
        ('train', 'train_dataloader.dataset.data_prefix.img', 'nowhere/'),
        ('train', 'train_dataloader.dataset.bbox_file', '/no/boxes.json'),
        ('train', 'val_evaluator.ann_file', '/no/file.json'),
        ('test', 'test_evaluator.ann_file', '/no/file.json'),
    ],
)
def test_missing_file_names_its_key(tiny_config, mode, key, value):
    tiny_config.merge_from_dict({key: value})
    with pytest.raises(ConfigError) as caught:
        check_data(tiny_config, mode)
    message = str(caught.value)
    assert message.startswith(f'{key}: ')
    assert value.strip('/') in message
    if key != 'train_dataloader.dataset.bbox_file':
        assert 'data_root=' in message
    # What a run does not read is not its business.
    other = {'train': 'test', 'test': 'train'}[mode]
    assert check_data(tiny_config, other) == (17, [])


def test_no_validation_needs_no_validation_data(tiny_config):
    tiny_config.val_dataloader.dataset.ann_file = 'no.json'
    tiny_config.val_dataloader = tiny_config.val_evaluator = None
    assert check_data(tiny_config, 'train') == (17, [])


def test_malformed_annotations(tiny_config, tmp_path):
    path = tmp_path / 'cut.json'
    path.write_text('{"images": [')
    tiny_config.train_dataloader.dataset.ann_file = str(path)
    with pytest.raises(
        ConfigError, match=r'train_dataloader\.dataset\.ann_file.*no JSON'
    ):
        check_data(tiny_config, 'train')


def test_data_sets_within_wrappers_are_found(tiny_config):
    loader = tiny_config.train_dataloader
    bad = dict(loader.dataset, ann_file='no.json')
    loader.dataset = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[loader.dataset, dict(type='RepeatDataset', dataset=bad)],
        pipeline=[],
    )
    with pytest.raises(ConfigError) as caught:
        check_data(tiny_config, 'train')
    assert str(caught.value).startswith(
        'train_dataloader.dataset.datasets[1].dataset.ann_file: '
    )


def test_annotations_of_another_skeleton(tiny_config):
    tiny_config.train_dataloader.dataset.type = 'CrowdPoseDataset'
    with pytest.raises(ConfigError, match='skeleton of 14 keypoints'):
        check_data(tiny_config, 'train')


@pytest.fixture
def fourteen(tiny_coco, tmp_path):
    """A data set of 14 keypoints, as config."""
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    for annotation in content['annotations']:
        annotation['keypoints'] = annotation['keypoints'][: 14 * 3]
    path = tmp_path / 'crowdpose.json'
    path.write_text(json.dumps(content))
    return dict(
        type='CrowdPoseDataset',
        data_root=str(tiny_coco),
        ann_file=str(path),
        data_prefix=dict(img='images/'),
        pipeline=[],
    )


def test_data_sets_of_different_skeletons(tiny_config, fourteen):
    loader = tiny_config.train_dataloader
    both = [loader.dataset, fourteen]
    loader.dataset = dict(type='CombinedDataset', datasets=both)
    with pytest.raises(ConfigError, match='17 keypoints.* 14 keypoints'):
        check_data(tiny_config, 'train')
    # Brought to one skeleton they may train together.
    loader.dataset.datasets[1].pipeline = [
        dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 5)])
    ]
    assert check_data(tiny_config, 'train') == (17, [])


def test_validation_may_have_another_skeleton(tiny_config, fourteen):
    tiny_config.val_dataloader.dataset = fourteen
    assert check_data(tiny_config, 'train') == (17, [])


def test_file_is_noted_once(tiny_config, tmp_path, tiny_coco):
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    content['annotations'][2]['bbox'][2] = 0
    path = tmp_path / 'flat.json'
    path.write_text(json.dumps(content))
    for loader in (tiny_config.train_dataloader, tiny_config.val_dataloader):
        loader.dataset.ann_file = str(path)
    _, (note,) = check_data(tiny_config, 'train')
    assert 'annotation 3 of image 2' in note


def test_head_of_another_skeleton(tiny_config):
    tiny_config.model.head.out_channels = 14
    model = build_pose_estimator(tiny_config.model)
    with pytest.raises(ConfigError, match=r'14 keypoints.* has 17'):
        check_model(model, 17)
    check_model(model, 14)
    check_model(model, None)


def test_three_maps_a_keypoint(tiny_config):
    """UDP's combined form has 3 K channels."""
    head = tiny_config.model.head
    head.out_channels = 51
    head.loss = dict(type='CombinedTargetMSELoss', use_target_weight=True)
    head.decoder = dict(
        type='UDPHeatmap',
        input_size=(48, 64),
        heatmap_size=(12, 16),
        heatmap_type='combined',
    )
    model = build_pose_estimator(tiny_config.model)
    check_model(model, 17)
    with pytest.raises(ConfigError, match=r'17 keypoints.* has 14'):
        check_model(model, 14)


def test_input_size_that_the_backbone_cannot_take(tiny_config):
    model_config = tiny_config.model
    extra = dict(
        stage2=dict(num_branches=2, num_channels=(4, 8)),
        stage3=dict(num_branches=3, num_channels=(4, 8, 16)),
        stage4=dict(num_branches=4, num_channels=(4, 8, 16, 32)),
    )
    for settings in extra.values():
        settings.update(
            num_modules=1,
            block='BASIC',
            num_blocks=(1,) * settings['num_branches'],
        )
    extra['stage1'] = dict(
        num_modules=1,
        num_branches=1,
        block='BOTTLENECK',
        num_blocks=(1,),
        num_channels=(4,),
    )
    model_config.backbone = dict(type='HRNet', in_channels=3, extra=extra)
    model_config.head.in_channels = 4
    codec = model_config.head.decoder
    codec.update(input_size=(32, 64), heatmap_size=(8, 16))
    check_model(build_pose_estimator(model_config), 17)
    codec.update(input_size=(40, 72), heatmap_size=(10, 18))
    with pytest.raises(ConfigError) as caught:
        check_model(build_pose_estimator(model_config), 17)
    for part in ('HRNet', '40x72', 'multiple of 32', 'codec.input_size'):
        assert part in str(caught.value)


def test_model_that_needs_more_than_an_image_passes(tiny_config):
    model = build_pose_estimator(tiny_config.model)

    def forward(feats, samples):
        raise AssertionError('never reached')

    model.head.forward = forward
    check_model(model, 17)
    assert model.training


def test_maps_of_another_size_than_the_codecs(tiny_config):
    tiny_config.model.head.decoder.heatmap_size = (24, 32)
    model = build_pose_estimator(tiny_config.model)
    with pytest.raises(ConfigError, match=r'12x16 cells.*\(24, 32\)'):
        check_model(model, 17)


def test_head_of_several_maps(tiny_config):
    """A bottom-up head, whose maps come in nested lists."""
    model_config = tiny_config.model
    model_config.type = 'BottomupPoseEstimator'
    codec = dict(
        type='HierarchicalSPRCodec',
        input_size=(64, 32),
        heatmap_size=(16, 8),
        kinematics='coco',
    )
    model_config.head = dict(
        type='SPMHead', in_channels=8, num_keypoints=17, decoder=codec
    )
    model = build_pose_estimator(model_config)
    check_model(model, 17)
    with pytest.raises(ConfigError, match=r'17 keypoints.* has 14'):
        check_model(model, 14)
    model_config.head.decoder.heatmap_size = (32, 16)
    with pytest.raises(ConfigError, match=r'16x8 cells.*\(32, 16\)'):
        check_model(build_pose_estimator(model_config), 17)


def test_configs_name_real_loader_keys(repo_root: Path):
    """The keys that are checked are those that mmengine's runner reads."""
    from mmengine.runner import Runner

    arguments = Runner.__init__.__code__.co_varnames
    for keys in (*preflight.LOADERS.values(), *preflight.EVALUATORS.values()):
        assert set(keys) <= set(arguments)


@pytest.mark.parametrize(
    'change, said',
    [
        (dict(image_id=9), 'detection 1 is of image 9'),
        (dict(bbox=[3, 3, float('nan'), 40]), 'finite numbers'),
        (dict(bbox=[3, 3, 30]), 'finite numbers'),
        # Not a person: mmpose passes it over.
        (dict(image_id=9, category_id=3), None),
        (dict(bbox=[300, 3, 0, 0]), None),
    ],
)
def test_detections(tiny_config, tmp_path, change, said):
    """Of images that the annotations do not list, and without a box."""
    boxes = tmp_path / 'boxes.json'
    box = dict(image_id=2, category_id=1, bbox=[3, 3, 30, 40], score=0.9)
    boxes.write_text(json.dumps([box, {**box, **change}]))
    tiny_config.test_dataloader.dataset.bbox_file = str(boxes)
    if said is None:
        check_data(tiny_config, 'test')
    else:
        with pytest.raises(ConfigError, match=said) as caught:
            check_data(tiny_config, 'test')
        assert 'test_dataloader.dataset.bbox_file' in str(caught.value)


@pytest.mark.parametrize('joints', [14, 16])
def test_mpii_release(tiny_config, tmp_path, joints):
    """MPII's own formats are left to its data set to read."""
    (tmp_path / 'pictures').mkdir()
    people = {'000000015.jpg': [mpii_files.standing_person(100, 120)]}
    mpii_files.write_release(tmp_path / 'mpii.mat', people, train=[1])
    box = dict(image_id=15, category_id=1, bbox=[0, 0, 9, 9], score=1.0)
    (tmp_path / 'boxes.json').write_text(json.dumps([box]))
    tiny_config.test_dataloader.dataset = dict(
        type='MpiiMultiPersonDataset',
        data_root=str(tmp_path),
        ann_file='mpii.mat',
        data_prefix=dict(img='pictures/'),
        bbox_file=str(tmp_path / 'boxes.json'),
        num_keypoints=joints,
        pipeline=[],
    )
    tiny_config.test_evaluator = dict(type='MpiiMultiPersonAP')
    assert check_data(tiny_config, 'test') == (joints, [])
    tiny_config.test_dataloader.dataset.ann_file = 'none.mat'
    with pytest.raises(ConfigError, match='none.mat does not exist'):
        check_data(tiny_config, 'test')


@pytest.mark.parametrize('in_channels', [1280, 300])
def test_a_localiser_that_does_not_fit_is_told(in_channels):
    backbone = dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,))
    codec = dict(
        type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(2, 2), sigma=1
    )
    model = build_pose_estimator(
        dict(
            type='ParallelSPPE',
            sppe=dict(
                type='TopdownPoseEstimator',
                backbone=backbone,
                head=dict(
                    type='HeatmapHead',
                    in_channels=1280,
                    out_channels=17,
                    deconv_out_channels=None,
                    decoder=codec,
                ),
            ),
            localizer=backbone,
            sstn=dict(type='SSTNHead', in_channels=in_channels),
        )
    )
    if in_channels == 1280:
        check_model(model, 17)
        return
    with pytest.raises(ConfigError, match=r'model\.localizer and model\.sstn'):
        check_model(model, 17)


def test_a_skeleton_file_that_does_not_exist(tiny_config):
    dataset = tiny_config.train_dataloader.dataset
    dataset.metainfo = dict(from_file='no_skeleton.py')
    with pytest.raises(
        ConfigError,
        match=r'^train_dataloader\.dataset\.metainfo\.from_file: .*no_skel',
    ):
        check_data(tiny_config, 'train')


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('[{"image": "1.jpg", ', 'JSON'),
        ('{}', 'list'),
        ('[{"image": "1.jpg", "joints": [[1, 2]]}]', 'record'),
    ],
)
def test_annotations_of_mpii_as_json(tiny_config, tmp_path, content, said):
    (tmp_path / 'mpii.json').write_text(content)
    tiny_config.train_dataloader.dataset = dict(
        type='MpiiDataset',
        data_root=str(tmp_path),
        ann_file='mpii.json',
        data_prefix=dict(img=''),
        pipeline=[],
    )
    with pytest.raises(ConfigError, match=said) as caught:
        check_data(tiny_config, 'train')
    assert str(caught.value).startswith('train_dataloader.dataset.ann_file: ')
    assert 'mpii.json' in str(caught.value)


def test_people_without_area_where_oks_needs_it(tiny_config, tmp_path):
    content = json.loads(Path(tiny_config.val_evaluator.ann_file).read_text())
    del content['annotations'][2]['area']
    path = tmp_path / 'no_area.json'
    path.write_text(json.dumps(content))
    tiny_config.val_evaluator.ann_file = str(path)
    with pytest.raises(
        ConfigError,
        match=r"^val_evaluator\.ann_file: .*annotation 3 of image 2 .*'area'",
    ):
        check_data(tiny_config, 'train')
    tiny_config.val_evaluator.use_area = False
    assert check_data(tiny_config, 'train') == (17, [])
