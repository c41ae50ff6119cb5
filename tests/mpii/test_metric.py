"""The metric on samples of a data set, and through the runner."""

import json

import mpii_files
import numpy as np
import pytest
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import METRICS, MODELS
from mpii_files import build
from torch import nn

from rmpe_spm.mpii import metric as module
from rmpe_spm.mpii.metric import MpiiMultiPersonAP
from rmpe_spm.mpii.toolkit_file import read_predictions

COLUMNS = ('Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle')
ALL = {f'mpii/{name}' for name in (*COLUMNS, 'Total')}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A pair and somebody apart in one image, one person in another."""
    images = {
        '000000015.jpg': [
            mpii_files.standing_person(100, 120),
            mpii_files.standing_person(700, 120),
            mpii_files.standing_person(170, 130),
        ],
        '000000007.jpg': [mpii_files.standing_person(99, 99)],
    }
    return mpii_files.write_data(tmp_path_factory.mktemp('mpii'), images)


def samples_of(data, poses_of):
    """What a model returns for the samples of a data set.

    ``poses_of(sample)`` gives poses (N, K, 2), and maybe scores (N,).
    """
    samples = []
    for sample in data:
        poses = poses_of(sample)
        poses, scores = poses if isinstance(poses, tuple) else (poses, 1)
        scores = np.broadcast_to(scores, len(poses))[:, None]
        samples.append(
            dict(
                id=sample['id'],
                img_id=sample['img_id'],
                raw_ann_info=sample['raw_ann_info'],
                gt_instances=dict(bbox_scores=sample['bbox_score']),
                pred_instances=dict(
                    keypoints=poses,
                    keypoint_scores=np.repeat(scores, poses.shape[1], 1),
                ),
            )
        )
    return samples


def metric_of(data, samples, **options):
    metric = METRICS.build(dict(type='MpiiMultiPersonAP', **options))
    metric.dataset_meta = data.metainfo
    metric.process({}, samples)
    return metric, metric.evaluate(len(samples))


def evaluate(data, poses_of, **options):
    return metric_of(data, samples_of(data, poses_of), **options)[1]


def truth(sample):
    return sample['keypoints'].astype(np.float64)


def pair_only(sample):
    """All but the person of one image are found."""
    return truth(sample) if sample['img_id'] == 15 else truth(sample)[:0]


def test_matches_are_of_the_images(root):
    data = build(root, protocol='group', data_mode='bottomup')
    metric, found = metric_of(data, samples_of(data, pair_only))
    matches = metric.matches
    assert matches.image_ids == (7, 15)
    assert matches.positives.sum(1).tolist() == [14, 42]
    assert matches.image.tolist() == [1, 1, 1]
    np.testing.assert_allclose(matches.ap(), found['mpii/Total'])
    found = matches.ap(np.array([[0, 1], [2, 0], [2, 2], [5, 1]]))
    np.testing.assert_allclose(found, [100, 0, 75, 100 * 3 / 8])


@pytest.mark.parametrize(
    'options,label,knee',
    [
        # three of four people are found, one of whom has no left knee
        ({}, '', (75 + 100 * 2 / 3 * 2 / 3) / 2),
        (dict(unannotated='ignore'), '_ignore', (75 + 200 / 3) / 2),
        # but for the empty unit, whose person does not count
        (dict(empty_units='toolkit'), '_toolkit', (100 + 200 / 3) / 2),
    ],
)
def test_other_definitions_are_labelled(root, options, label, knee):
    data = build(root, data_mode='bottomup')
    samples = samples_of(data, pair_only)
    samples[0]['raw_ann_info'] = [dict(p) for p in samples[0]['raw_ann_info']]
    person = samples[0]['raw_ann_info'][0]
    person['keypoints'] = np.array(person['keypoints'])
    person['keypoints'][3 * 4 + 2] = 0
    # that person's joints come first
    samples[0]['pred_instances']['keypoint_scores'][0] = 2
    _, found = metric_of(data, samples, **options)
    assert set(found) == {f'{name}{label}' for name in ALL}
    assert found[f'mpii/Knee{label}'] == pytest.approx(knee)


@pytest.mark.parametrize('num_keypoints', [14, 16])
@pytest.mark.parametrize('data_mode', ['topdown', 'bottomup'])
@pytest.mark.parametrize('protocol', ['group', 'image'])
def test_the_truth_is_right(root, protocol, data_mode, num_keypoints):
    data = build(
        root,
        protocol=protocol,
        data_mode=data_mode,
        num_keypoints=num_keypoints,
    )

    def poses(sample):
        poses = truth(sample)
        if num_keypoints == 16:  # pelvis and thorax do not count
            poses[:, 6] += 1000
            poses[:, 7] -= 1000
        return poses

    found = evaluate(data, poses)
    assert set(found) == ALL and set(found.values()) == {100.0}
    # one of four is missed
    found = evaluate(data, lambda s: truth(s)[truth(s)[:, 0, 0] < 500])
    assert set(found.values()) == {75.0}


def test_detections(root, tmp_path):
    """Two boxes of the same person, and none in one of the images."""
    path = tmp_path / 'boxes.json'
    boxes = [
        dict(image_id=15, bbox=[20, 40, 160, 160], score=score, category_id=1)
        for score in (0.5, 0.9)
    ]
    path.write_text(json.dumps(boxes))
    person = np.array(list(mpii_files.standing(100, 120).values()))

    def poses(sample):
        # the box of the higher score has the worse pose
        pose = person.copy()
        pose[0] += 100 * (sample['bbox_score'][0] > 0.8)
        return pose[None]

    for protocol in ('group', 'image'):
        data = build(root, protocol=protocol, bbox_file=str(path))
        # by joint score all are equal, and the first detection comes first
        found = evaluate(data, poses)
        assert found['mpii/Knee'] == pytest.approx(25)
        # by box score the false one comes first: precision 1 / 2
        for mode in ('bbox', 'bbox_keypoint'):
            found = evaluate(data, poses, score_mode=mode)
            assert found['mpii/Knee'] == pytest.approx(12.5)


def duplicates(sample):
    """Everybody twice, the second time moved, with a higher score."""
    poses = truth(sample)
    scores = np.r_[np.full(len(poses), 0.5), np.full(len(poses), 0.6)]
    return np.concatenate([poses, poses + 2]), scores


@pytest.mark.parametrize(
    'nms',
    [
        dict(type='ParametricPoseNMS', preset='mpii'),
        dict(type='OKSNMS', thr=0.5),
        dict(type='NearbyJointsNMS'),
    ],
)
def test_nms_removes_duplicates(root, nms):
    for protocol in ('group', 'image'):
        data = build(root, protocol=protocol, data_mode='bottomup')
        # the worse one of a pair comes first
        assert evaluate(data, duplicates)['mpii/Total'] == 50
        assert evaluate(data, duplicates, nms=nms)['mpii/Total'] == 100


def test_soft_scores_reach_the_joints(root, tmp_path):
    """What the NMS takes from a person, its joints lose."""
    data = build(root, data_mode='bottomup')
    evaluate(
        data,
        lambda s: (np.concatenate([truth(s)[:1]] * 2), [0.8, 0.4]),
        nms=dict(type='SoftOKSNMS', sigma=0.5),
        outfile_prefix=str(tmp_path / 'soft'),
    )
    (poses, _), _ = read_predictions(tmp_path / 'soft.mat')
    expected = np.repeat([[0.8], [0.4 * np.exp(-2)]], 14, 1)
    np.testing.assert_allclose(np.sort(poses.scores, 0)[::-1], expected)


def test_box_scores_stay_with_their_poses(root, tmp_path):
    """Of a pair the second is kept, with its own box score."""
    data = build(root, data_mode='bottomup')
    samples = samples_of(
        data, lambda s: np.concatenate([truth(s)[:1], truth(s)])[:3]
    )
    for sample in samples:
        number = len(sample['pred_instances']['keypoints'])
        sample['pred_instances']['bbox_scores'] = [0.2, 0.9, 0.5][:number]
    options = dict(nms=dict(type='OKSNMS'), score_mode='bbox')
    metric_of(data, samples, **options, outfile_prefix=str(tmp_path / 'boxes'))
    (first, second), _ = read_predictions(tmp_path / 'boxes.mat')
    assert first.scores.tolist() == [[0.9] * 14, [0.5] * 14]
    assert second.scores.tolist() == [[0.9] * 14]


def test_merged_poses_are_evaluated(root, tmp_path):
    """Two poses 4 to each side: the merged one has moved by less."""
    data = build(root, data_mode='bottomup', num_keypoints=14)
    evaluate(
        data,
        lambda s: (
            np.concatenate([truth(s)[:1] - 4, truth(s)[:1] + 4]),
            [0.6, 0.5],
        ),
        nms=dict(type='ParametricPoseNMS', preset='coco'),
        outfile_prefix=str(tmp_path / 'merged'),
    )
    (first, _), _ = read_predictions(tmp_path / 'merged.mat')
    assert len(first.scores) == 1
    moved = first.keypoints[0] - truth(data[0])[0]
    assert (np.abs(moved) < 1).all()
    assert ((first.scores > 0.5) & (first.scores < 0.6)).all()


@pytest.mark.parametrize('nms', [None, dict(type='ParametricPoseNMS')])
def test_no_poses_at_all(root, monkeypatch, nms):
    said = []
    monkeypatch.setattr(
        module, 'print_log', lambda text, *_, **__: said.append(text)
    )
    data = build(root, data_mode='bottomup')
    found = evaluate(data, lambda s: truth(s)[:0], nms=nms)
    assert set(found) == ALL and set(found.values()) == {0.0}
    assert said == ['the model found no pose in any image']


def test_prediction_file(root, tmp_path):
    data = build(root, protocol='group', data_mode='bottomup')
    prefix = str(tmp_path / 'new' / 'pred')
    found = evaluate(data, truth, format_only=True, outfile_prefix=prefix)
    assert found == {}
    entries, names = read_predictions(prefix + '.mat')
    assert names == ['000000015.jpg', '000000015.jpg', '000000007.jpg']
    assert [len(each.scores) for each in entries] == [2, 1, 1]
    expected = np.array(list(mpii_files.standing(700, 120).values()))
    np.testing.assert_allclose(
        entries[1].keypoints[0], np.delete(expected, [6, 7], 0)
    )


@pytest.mark.parametrize(
    'options,match',
    [
        (dict(score_mode='sum'), "score_mode 'sum'"),
        (dict(unannotated='count'), "unannotated 'count'"),
        (dict(empty_units='skip'), "empty_units 'skip'"),
        (dict(thr=0), 'thr must be positive'),
        (dict(format_only=True), 'needs an outfile_prefix'),
    ],
)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        MpiiMultiPersonAP(**options)


@MODELS.register_module(force=True)
class SeesNothing(nn.Identity):
    """A backbone."""


@MODELS.register_module(force=True)
class ClairvoyantHead(nn.Module):
    """Knows the joints of every other sample, in the network's input."""

    def __init__(self, **kwargs):
        super().__init__()
        self.calls = 0

    def predict(self, feats, data_samples, test_cfg=None):
        found = []
        for sample in data_samples:
            self.calls += 1
            poses = np.array(sample.gt_instances.transformed_keypoints)
            if self.calls % 2 == 0:
                poses = poses + 500
            found.append(
                InstanceData(
                    keypoints=poses, keypoint_scores=np.ones(poses.shape[:2])
                )
            )
        return found


@pytest.mark.parametrize('protocol', ['group', 'image'])
@pytest.mark.parametrize('data_mode', ['topdown', 'bottomup'])
def test_through_the_runner(root, tiny_config, data_mode, protocol):
    region = [
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(32, 32)),
    ]
    if data_mode == 'bottomup':
        region = [dict(type='GroupAffine', input_size=(32, 32))]
    pack = dict(type='PackPoseInputs', pack_transformed=True)
    tiny_config.test_dataloader.dataset = dict(
        type='MpiiMultiPersonDataset',
        data_root=str(root),
        data_prefix=dict(img='images/'),
        ann_file='mpii.mat',
        data_mode=data_mode,
        protocol=protocol,
        test_mode=True,
        pipeline=[dict(type='LoadImage'), *region, pack],
    )
    tiny_config.model = dict(
        type=f'{data_mode.capitalize()}PoseEstimator',
        backbone=dict(type='SeesNothing'),
        head=dict(type='ClairvoyantHead'),
        data_preprocessor=dict(type='PoseDataPreprocessor'),
    )
    nms = dict(type='ParametricPoseNMS', preset='mpii')
    tiny_config.test_evaluator = dict(type='MpiiMultiPersonAP', nms=nms)
    # two of four right, ahead of and behind a wrong one, or three; wrong
    # poses lie outside of the groups
    expected = {
        ('topdown', 'group'): 50,
        ('topdown', 'image'): 100 * (1 + 2 / 3) / 4,
        ('bottomup', 'group'): 75,
        ('bottomup', 'image'): 75,
    }
    total = Runner.from_cfg(tiny_config).test()['mpii/Total']
    assert total == pytest.approx(expected[data_mode, protocol])
