"""The metric beside mmpose's own, and its NMS by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from coco_samples import evaluate, samples_of
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS

from rmpe_spm.coco import metric as module
from rmpe_spm.coco.metric import PoseNMSCocoMetric


def written(tmp_path, samples, **options):
    """What the metric writes to its results file."""
    ann_file = tmp_path / 'annotations.json'
    ann_file.write_text(json.dumps(dict(images=[dict(id=7)], annotations=[])))
    metric = PoseNMSCocoMetric(
        ann_file=str(ann_file),
        format_only=True,
        outfile_prefix=str(tmp_path / 'results'),
        **options,
    )
    assert evaluate(metric, samples) == {}
    return json.loads((tmp_path / 'results.keypoints.json').read_text())


@pytest.mark.parametrize('bottom_up', [True, False])
@pytest.mark.parametrize(
    'score_mode', ['bbox', 'bbox_keypoint', 'bbox_rle', 'keypoint']
)
def test_none_and_oks_equal_mmpose(example, bottom_up, score_mode):
    ann_file, results = example
    samples = samples_of(results, bottom_up)
    for nms_mode, nms in (
        ('none', None),
        ('oks_nms', dict(type='OKSNMS', thr=0.3)),
    ):
        options = dict(ann_file=ann_file, score_mode=score_mode)
        expected = evaluate(
            CocoMetric(nms_mode=nms_mode, nms_thr=0.3, **options), samples
        )
        found = evaluate(PoseNMSCocoMetric(nms=nms, **options), samples)
        assert found == expected
        assert found['coco/AP'] > 0.4


@pytest.mark.parametrize('digits', [1, 17])
@pytest.mark.parametrize(
    'options',
    [
        dict(nms_mode='oks_nms', nms_thr=0.3),
        dict(nms_mode='oks_nms'),
        dict(nms_mode='soft_oks_nms', nms_thr=0.3),
        dict(nms_mode='soft_oks_nms'),
        dict(nms_mode='none', nms_thr=0.3),
    ],
)
def test_mmposes_names_of_nms(example, tmp_path, options, digits):
    """So many poses an image that more than 20 compete, and equal scores."""
    ann_file, results = example
    rng = np.random.default_rng(0)
    more = []
    for result in results * 9:
        pose = np.array(result['keypoints']).reshape(-1, 3)
        pose[:, :2] += rng.normal(size=(17, 2)) * rng.choice([1, 9, 30])
        pose[:, 2] = rng.random(17) if digits > 1 else 0.5
        score = round(rng.random(), digits)
        more.append(dict(result, keypoints=pose.ravel().tolist(), score=score))
    samples = samples_of(more, bottom_up=digits > 1)
    found = []
    for kind in (PoseNMSCocoMetric, CocoMetric):
        prefix = tmp_path / kind.__name__
        metric = kind(ann_file=ann_file, outfile_prefix=str(prefix), **options)
        numbers = evaluate(metric, samples)
        poses = json.loads(Path(f'{prefix}.keypoints.json').read_text())
        found.append((numbers, poses))
    assert found[0][1] == found[1][1]
    # a sum may be rounded in another order
    assert found[0][0] == pytest.approx(found[1][0], rel=0, abs=1e-15)
    assert len(found[0][1]) < len(more) or options['nms_mode'] == 'none'


def duplicates():
    """Two poses of one person and one of another, 17 joints each."""
    base = np.stack(np.meshgrid(np.arange(17.0) * 10, [7.0]), -1)[0]
    poses = np.stack([base, base + [2.0, 0], base + [0, 900]])
    scores = np.array([0.8, 0.4, 0.6])[:, None].repeat(17, 1)
    scores[:, 3] = 0.1
    kpts = np.concatenate([poses, scores[..., None]], -1)
    return [
        dict(image_id=7, keypoints=pose.ravel().tolist(), score=score)
        for pose, score in zip(kpts, [0.5, 0.9, 0.7], strict=True)
    ]


def test_merged_poses_and_scores_are_written(tmp_path):
    nms = dict(type='ParametricPoseNMS', preset='coco')
    for score_mode, expected in dict(
        bbox=0.5,
        keypoint=(16 * 2 / 3 + 0.1) / 17,
        bbox_keypoint=0.5 * 2 / 3,
        bbox_rle=0.5 + (16 * 2 / 3 + 0.1) / 17 + 2 / 3,
    ).items():
        found = written(
            tmp_path, samples_of(duplicates()), nms=nms, score_mode=score_mode
        )
        assert len(found) == 2
        merged = next(r for r in found if r['keypoints'][1] < 100)
        pose = np.array(merged['keypoints']).reshape(17, 3)
        x = np.arange(17) * 10 + 2 / 3
        x[3] = 31.0
        np.testing.assert_allclose(pose[:, 0], x)
        np.testing.assert_allclose(pose[:, 1], 7)
        joint_scores = np.full(17, (0.64 + 0.16) / 1.2)
        joint_scores[3] = 0.1
        np.testing.assert_allclose(pose[:, 2], joint_scores)
        assert merged['score'] == pytest.approx(expected)
        assert merged['image_id'] == 7
    # without good joints
    found = written(
        tmp_path, samples_of(duplicates()), nms=nms, keypoint_score_thr=0.9
    )
    assert {result['score'] for result in found} == {0}


@pytest.mark.parametrize('score_mode', ['keypoint', 'bbox_keypoint'])
def test_negative_scores_of_joints_stay(tmp_path, score_mode):
    """A regressed heatmap may be negative; mmpose keeps that too."""
    results = duplicates()[:1]
    keypoints = np.array(results[0]['keypoints']).reshape(-1, 3)
    keypoints[:, 2] = 0.6
    keypoints[3, 2] = -0.4
    results[0]['keypoints'] = keypoints.ravel().tolist()
    options = dict(score_mode=score_mode, keypoint_score_thr=-1.0)
    plain, kept = (
        written(tmp_path, samples_of(results), nms=nms, **options)
        for nms in (None, dict(type='OKSNMS', thr=0.3))
    )
    assert kept == plain
    assert kept[0]['keypoints'][3 * 3 + 2] == pytest.approx(-0.4)


@pytest.mark.parametrize('given', [1, [1], [1, 1, 1], [], [1, 2]])
@pytest.mark.parametrize('number', [1, 9])
def test_poses_are_of_the_peoples_category(example, tmp_path, number, given):
    """Whatever samples say: bottom-up ones list those of all people."""
    ann_file, results = example
    content = json.loads(Path(ann_file).read_text())
    content['categories'] = [dict(id=5, name='dog'), dict(id=number)]
    for person in content['annotations']:
        person['category_id'] = number
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(content))
    samples = samples_of(results)
    for sample in samples:
        sample['category_id'] = np.array(given, dtype=int)
    found = evaluate(PoseNMSCocoMetric(str(path)), samples)
    assert found == evaluate(PoseNMSCocoMetric(ann_file), samples)
    content['annotations'][3]['category_id'] = 5
    path.write_text(json.dumps(content))
    for options in ({}, dict(format_only=True, outfile_prefix='x')):
        with pytest.raises(
            ValueError, match=f'categories .*5.*{number}|{number}.*5'
        ):
            PoseNMSCocoMetric(str(path), **options)


def test_scores_of_persons_stay_precise(tmp_path):
    """They rank the poses, whose joints may be of float32."""
    results = duplicates()[1:]
    for result, score in zip(results, (0.1, 0.1 + 1e-12), strict=True):
        result['score'] = score
    samples = samples_of(results)
    for sample in samples:
        poses = sample['pred_instances']
        for name in ('keypoints', 'keypoint_scores'):
            poses[name] = poses[name].astype(np.float32)
    found = written(
        tmp_path, samples, nms=dict(type='OKSNMS'), score_mode='bbox'
    )
    assert {result['score'] for result in found} == {0.1, 0.1 + 1e-12}


def test_soft_scores_are_written(tmp_path):
    results = duplicates()
    results[1]['keypoints'] = results[0]['keypoints']
    found = written(
        tmp_path,
        samples_of(results),
        nms=dict(type='SoftOKSNMS', sigma=0.5),
        score_mode='bbox',
    )
    scores = sorted(result['score'] for result in found)
    assert scores == pytest.approx([0.5 * np.exp(-2), 0.7, 0.9])


def test_boxes_of_top_down_models_reach_the_nms(tmp_path):
    """25 px apart: the same person for a large box, not for a small one."""
    results = duplicates()[:2]
    samples = samples_of(results, bottom_up=False)
    samples[1]['pred_instances']['keypoints'][..., 1] += 25
    nms = dict(type='ParametricPoseNMS', preset='mpii')
    assert len(written(tmp_path, samples, nms=nms)) == 2
    for sample in samples:
        sample['pred_instances']['bboxes'] = np.array(
            [[1000.0, 1000.0, 1170.0, 1400.0]]
        )
    (merged,) = written(tmp_path, samples, nms=nms)
    assert merged['bbox'] == [1000, 1000, 170, 400]


def test_a_missing_joint_does_not_stretch_the_box(tmp_path):
    """Two people beside one another, far from the picture's corner."""
    results = duplicates()[:2]
    for result, x in zip(results, (900, 960), strict=True):
        pose = np.reshape(result['keypoints'], (17, 3)) + [x, 500, 0]
        pose[0] = 0
        result['keypoints'] = pose.ravel().tolist()
    samples = samples_of(results)
    nms = dict(type='ParametricPoseNMS', preset='mpii')
    assert len(written(tmp_path, samples, nms=nms)) == 2


def test_sigmas_are_the_data_sets_unless_given(example):
    ann_file, results = example
    nms = dict(type='OKSNMS', thr=0.3)
    metric = PoseNMSCocoMetric(nms=nms, ann_file=ann_file)
    evaluate(metric, samples_of(results))
    assert metric.nms.sigmas is metric.dataset_meta['sigmas']
    wide = dict(nms, sigmas=[1.0] * 17)
    metric = PoseNMSCocoMetric(nms=wide, ann_file=ann_file)
    evaluate(metric, samples_of(results))
    assert metric.nms.sigmas == [1.0] * 17


def test_no_poses_at_all(example, logged):
    said = logged(module)
    ann_file, results = example
    samples = samples_of(results)
    for sample in samples:
        for name, value in sample['pred_instances'].items():
            sample['pred_instances'][name] = value[:0]
    metric = PoseNMSCocoMetric(
        nms=dict(type='ParametricPoseNMS'), ann_file=ann_file
    )
    found = evaluate(metric, samples)
    assert len(found) == 10 and set(found.values()) == {0.0}
    assert len(said) == 1 and 'found no pose in any image' in said[0]


def test_built_by_name_and_wrong_arguments():
    metric = METRICS.build(dict(type='PoseNMSCocoMetric', nms=None))
    assert metric.nms is None and metric.nms_mode == 'none'
    with pytest.raises(ValueError, match='both nms=.*OKSNMS.* and nms_mode='):
        PoseNMSCocoMetric(nms=dict(type='OKSNMS'), nms_mode='none')
    with pytest.raises(ValueError, match='nms_thr=0.0 belongs to nms_mode'):
        PoseNMSCocoMetric(nms_thr=0.0)
    with pytest.raises(ValueError, match='nms_mode must be one of .*soft'):
        PoseNMSCocoMetric(nms_mode='soft')
    with pytest.raises(ValueError, match='score_mode'):
        PoseNMSCocoMetric(score_mode='sum')
