import json
from pathlib import Path

import mmpose
import mpii_files
import pytest
import torch
from mmengine.config import Config
from mmpose.models import build_pose_estimator

from rmpe_spm.cli.preflight import CheckedData, build_runner
from rmpe_spm.errors import ConfigError


def check_data(cfg, mode):
    """The keypoints of the data."""
    return CheckedData(cfg, mode).num_keypoints


def refused(pattern, cfg, mode, check=check_data):
    with pytest.raises(ConfigError, match=pattern):
        check(cfg, mode)


@pytest.fixture
def change_annotations(tiny_coco, tmp_path):
    """Write the annotations with a change, and give the path."""

    def write(change):
        content = json.loads((tiny_coco / 'annotations.json').read_text())
        change(content)
        path = tmp_path / f'{change.__name__}.json'
        path.write_text(json.dumps(content))
        return str(path)

    return write


def test_good_set_up(tiny_config):
    for mode in ('train', 'test'):
        assert check_data(tiny_config, mode) == 17


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
    assert 'data_root=' in message
    # What a run does not read is not its business.
    other = {'train': 'test', 'test': 'train'}[mode]
    assert check_data(tiny_config, other) == 17


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_images_to_be_evaluated_are_there(tiny_config, tmp_path, mode):
    """Before a training whose validation would end it."""
    weights = tmp_path / 'weights.pth'
    torch.save(build_pose_estimator(tiny_config.model).state_dict(), weights)
    tiny_config.load_from = str(weights)
    build_runner(tiny_config, mode)
    tiny_config.experiment_name += '_again'
    for loader in ('train', 'val', 'test'):
        dataset = tiny_config[f'{loader}_dataloader'].dataset
        dataset.data_prefix.img = str(tmp_path)
    said = '^4 of the 4 images to be eval'
    refused(said, tiny_config, mode, build_runner)
    # without validation, those that are missing are left out
    tiny_config.val_dataloader = tiny_config.val_evaluator = None
    tiny_config.val_cfg = None
    tiny_config.experiment_name += '_and_again'
    build_runner(tiny_config, 'train')


def test_data_sets_within_wrappers_are_found(tiny_config):
    loader = tiny_config.train_dataloader
    bad = dict(loader.dataset, ann_file='no.json')
    loader.dataset = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[loader.dataset, dict(type='RepeatDataset', dataset=bad)],
        pipeline=[],
    )
    key = r'train_dataloader\.dataset\.datasets\.1\.dataset\.ann_file'
    refused(f'^{key}: ', tiny_config, 'train')


def test_other_skeletons(tiny_config):
    dataset = tiny_config.train_dataloader.dataset
    dataset.type = 'CrowdPoseDataset'
    refused('needed for 14 joints', tiny_config, 'train')
    dataset.metainfo = dict(from_file='no_skeleton.py')
    key = r'train_dataloader\.dataset\.metainfo\.from_file'
    refused(f'^{key}: .*no_skel', tiny_config, 'train')


@pytest.fixture
def fourteen(tiny_coco, change_annotations):
    """A data set of 14 keypoints, as config."""

    def shorten(content):
        for annotation in content['annotations']:
            annotation['keypoints'] = annotation['keypoints'][: 14 * 3]

    return dict(
        type='CrowdPoseDataset',
        data_root=str(tiny_coco),
        ann_file=change_annotations(shorten),
        data_prefix=dict(img='images/'),
        pipeline=[],
    )


def test_data_sets_of_different_skeletons(tiny_config, fourteen):
    loader = tiny_config.train_dataloader
    both = [loader.dataset, fourteen]
    loader.dataset = dict(type='CombinedDataset', datasets=both)
    refused('17 keypoints.* 14 keypoints', tiny_config, 'train')
    # Brought to one skeleton they may train together.
    loader.dataset.datasets[1].pipeline = [
        dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 5)])
    ]
    assert check_data(tiny_config, 'train') == 17


FITTED = 'configs/rmpe/_base_/pgpg/coco_mini_yolox-nano.json'


def test_proposals_of_another_skeleton(tiny_config):
    """Also of one with as many joints: H36M's 17 are in another order."""
    dataset = tiny_config.train_dataloader.dataset
    proposals = dict(type='PGPGTransform', mode='gmm_atomic', model=FITTED)
    dataset.pipeline.insert(0, proposals)
    assert check_data(tiny_config, 'train') == 17
    dataset.metainfo = dict(from_file='configs/_base_/datasets/h36m.py')
    content = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
    content['categories'][0].pop('keypoints', None)
    path = Path(dataset.data_root, 'h36m.json')
    path.write_text(json.dumps(content))
    dataset.ann_file = path.name
    refused(r'pipeline\.0\.model: .*is fitted', tiny_config, 'train')
    dataset.pipeline.insert(
        0, dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 0)])
    )
    assert check_data(tiny_config, 'train') == 17


def test_validation_may_have_another_skeleton(tiny_config, fourteen):
    tiny_config.val_dataloader.dataset = fourteen
    refused('annotation 1 .* 51 numbers', tiny_config, 'train')
    tiny_config.val_evaluator.ann_file = fourteen['ann_file']
    assert check_data(tiny_config, 'train') == 17


def test_detections_of_other_images(tiny_config, tmp_path):
    boxes = tmp_path / 'boxes.json'
    box = dict(image_id=9, category_id=1, bbox=[3, 3, 30, 40], score=0.9)
    boxes.write_text(json.dumps([box]))
    tiny_config.test_dataloader.dataset.bbox_file = str(boxes)
    key = r'test_dataloader\.dataset\.bbox_file'
    refused(f'{key}: .*0 is of image 9, which', tiny_config, 'test')


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
    assert check_data(tiny_config, 'test') == joints
    tiny_config.test_dataloader.dataset.ann_file = 'none.mat'
    refused(r'there is no file .*none\.mat', tiny_config, 'test')


def test_an_epoch_needs_a_batch(tiny_config):
    """Of eight people."""
    loader = tiny_config.train_dataloader
    loader.update(batch_size=9, drop_last=True)
    said = '^train_dataloader: its data set has 8 samples, fewer'
    refused(said, tiny_config, 'train', build_runner)
    loader.sampler = dict(type='InfiniteSampler')
    tiny_config.train_cfg = dict(by_epoch=False, max_iters=1)
    tiny_config.experiment_name += '_again'
    build_runner(tiny_config, 'train')


@pytest.mark.parametrize('part', ['train', 'val'])
def test_a_data_set_of_which_nothing_is_left(
    tiny_config, tiny_detections, part
):
    dataset = tiny_config[f'{part}_dataloader'].dataset
    if part == 'train':
        dataset.indices = []
    else:
        dataset.bbox_file = str(tiny_detections)
        dataset.filter_cfg = dict(bbox_score_thr=1.0)
    said = rf'^{part}_dataloader\.dataset: all samples are left out'
    refused(said, tiny_config, 'train', build_runner)


def test_whole_bodies(tiny_config, change_annotations):
    """Their other parts are in lists of their own, and for mmpose's metric."""

    def whole(content):
        for person in content['annotations']:
            person.update(foot_kpts=[1, 1, 1] * 6, face_kpts=[1, 1, 1] * 68)
            for hand in ('lefthand', 'righthand'):
                person[f'{hand}_kpts'] = [1, 1, 1] * 21

    path = change_annotations(whole)
    for loader in ('train', 'val', 'test'):
        dataset = tiny_config[f'{loader}_dataloader'].dataset
        dataset.update(type='CocoWholeBodyDataset', ann_file=path)
    for mode in ('train', 'test'):
        for part in ('val', 'test'):
            evaluator = tiny_config[f'{part}_evaluator']
            evaluator.update(type='CocoWholeBodyMetric', ann_file=path)
        assert check_data(tiny_config, mode) == 133
    tiny_config.test_evaluator.type = 'PoseNMSCocoMetric'
    refused('51 num.*type=.CocoWholeBodyMetric', tiny_config, 'test')


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_pictures_of_another_size(tiny_config, change_annotations, mode):
    def swap(content):
        for image in content['images']:
            image['width'], image['height'] = image['height'], image['width']

    loader = tiny_config[f'{mode}_dataloader']
    loader.dataset.ann_file = change_annotations(swap)
    refused('listed as 72x96.*swapped', tiny_config, mode, build_runner)


def test_the_evaluated_file_whichever_metric_is_named(
    tiny_config, change_annotations
):
    """The data set's own where the metric names none."""

    def number_nine(content):
        content['categories'][0]['id'] = 9
        for person in content['annotations']:
            person['category_id'] = 9

    def without_joints(content):
        content['annotations'][4]['keypoints'] = [1, 1, 2] * 14

    evaluator = tiny_config.test_evaluator
    evaluator.ann_file = change_annotations(number_nine)
    refused("of category 9.*'PoseNMSCocoMetric", tiny_config, 'test')
    evaluator.type = 'PoseNMSCocoMetric'
    check_data(tiny_config, 'test')
    evaluator.ann_file = change_annotations(without_joints)
    refused('annotation 5 .* 42 numbers', tiny_config, 'test')
    del evaluator['ann_file']
    check_data(tiny_config, 'test')

    def without_areas(content):
        del content['annotations'][4]['area']

    dataset = tiny_config.test_dataloader.dataset
    dataset.ann_file = change_annotations(without_areas)
    said = r'^test_evaluator\.ann_file: .*annotation 5 of image 3 .* area'
    refused(said, tiny_config, 'test')
    evaluator.use_area = False
    assert check_data(tiny_config, 'test') == 17


def test_sigmas_of_the_data_set(tiny_config, tmp_path):
    folder = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
    coco = Config.fromfile(folder / 'coco.py')
    coco.dataset_info.sigmas = [0.1] * 16 + [0.0]
    coco.dump(tmp_path / 'skeleton.py')
    dataset = tiny_config.val_dataloader.dataset
    dataset.metainfo = dict(from_file=str(tmp_path / 'skeleton.py'))
    said = r'^val_dataloader\.dataset\.metainfo.* sigma of joint 16 is 0'
    refused(said, tiny_config, 'train')
