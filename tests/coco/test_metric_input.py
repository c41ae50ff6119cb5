"""The numbers beside mmpose's own, and input that can't be evaluated."""

import json
from pathlib import Path

import numpy as np
import pytest
from coco_samples import META, evaluate, samples_of
from mmengine.logging import MessageHub
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import DATASETS

from rmpe_spm.coco import results as results_module
from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.metric import PoseNMSCocoMetric


@pytest.fixture(autouse=True)
def _own_message_hub(request):
    """No annotation file that a data set of another test left there.

    mmpose's metric without one takes that, whatever the samples hold.
    """
    MessageHub.get_instance(request.node.nodeid)


def annotate(samples, annotations):
    """Give samples what mmpose's data sets know of their images."""
    images = {image['id']: image for image in annotations['images']}
    for sample in samples:
        image = images[sample['img_id']]
        sample.update(
            ori_shape=(image.get('height', 400), image.get('width', 600)),
            crowd_index=image.get('crowdIndex'),
            raw_ann_info=[
                a
                for a in annotations['annotations']
                if a['image_id'] == image['id']
            ],
        )
    return samples


@pytest.mark.parametrize(
    'given, nms_mode, score_mode, ap',
    [
        (True, 'none', 'bbox', 0.7877),
        (False, 'none', 'bbox', 0.7877),
        (True, 'oks_nms', 'bbox_keypoint', None),
    ],
)
def test_crowdpose_equals_mmpose(
    fixture_files, given, nms_mode, score_mode, ap
):
    """The annotations in a file, or in the samples; many scores of 0."""
    ann_file = fixture_files.folder / 'example_crowdpose_val.json'
    annotations, results = fixture_files(
        'example_crowdpose_val', 'example_crowdpose_preds'
    )
    samples = annotate(samples_of(results), annotations)
    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/crowdpose.py')
    )
    meta['CLASSES'] = annotations['categories']
    found, expected = (
        evaluate(
            metric(
                ann_file=str(ann_file) if given else None,
                iou_type='keypoints_crowd',
                use_area=False,
                prefix='crowdpose',
                score_mode=score_mode,
                nms_mode=nms_mode,
                keypoint_score_thr=0.5,
            ),
            samples,
            meta,
        )
        for metric in (PoseNMSCocoMetric, CocoMetric)
    )
    if not given:
        # mmpose reads easy, medium and hard from the file it has written
        assert expected['crowdpose/AP(H)'] == found['crowdpose/AP(H)'] > 0
    assert found == expected
    assert ap is None or round(found['crowdpose/AP'], 4) == ap


def test_converters_equal_mmpose_each_time(example):
    """Twelve of COCO's joints, evaluated twice by the same metric."""
    ann_file, results = example
    joints = list(range(5, 17))
    converter = dict(
        type='KeypointConverter',
        num_keypoints=12,
        mapping=[(source, target) for target, source in enumerate(joints)],
    )
    options = dict(
        ann_file=ann_file, pred_converter=converter, gt_converter=converter
    )
    expected = evaluate(
        CocoMetric(nms_mode='none', **options), samples_of(results)
    )
    metric = PoseNMSCocoMetric(**options)
    metric.dataset_meta = dict(META)
    for _ in range(2):
        metric.process({}, samples_of(results))
        found = metric.evaluate(len(samples_of(results)))
        assert found == expected
    assert 0.4 < found['coco/AP'] < 1
    assert metric.coco.dataset['annotations'][0]['keypoints'][0] > 0
    assert len(metric.coco.dataset['annotations'][0]['keypoints']) == 51


def test_annotations_that_were_read(example):
    ann_file, results = example
    annotations = KeypointAnnotations.read(ann_file)
    metric = PoseNMSCocoMetric(ann_file=annotations)
    assert metric.coco.dataset is annotations.content
    expected = evaluate(PoseNMSCocoMetric(ann_file), samples_of(results))
    assert evaluate(metric, samples_of(results)) == expected


@pytest.mark.parametrize('nms', [None, dict(type='OKSNMS')])
@pytest.mark.parametrize(
    'changes, said',
    [
        (dict(img_id=99), r'the predictions: result 0 \(image 99\) is for an'),
        (dict(keypoints=np.nan), r'0 \(image 785\) has nan as x of joint 0'),
        (dict(bbox_scores=np.inf), r'0 \(image 785\) has the score inf'),
        (dict(joints=14), 'image 785 have 14 joints, but the data set has 17'),
    ],
)
def test_bad_predictions(example, changes, said, nms):
    ann_file, results = example
    samples = samples_of(results)
    sample, poses = samples[0], samples[0]['pred_instances']
    assert sample['img_id'] == 785
    for name, value in changes.items():
        if name == 'img_id':
            sample[name] = value
        elif name == 'joints':
            poses['keypoints'] = poses['keypoints'][:, :value]
            poses['keypoint_scores'] = poses['keypoint_scores'][:, :value]
        else:
            poses[name] = poses[name] * value
    metric = PoseNMSCocoMetric(nms=nms, ann_file=ann_file, score_mode='bbox')
    with pytest.raises(ValueError, match=said):
        evaluate(metric, samples)


def test_bad_annotations_are_found_before_the_test(example, tmp_path):
    content = json.loads(Path(example[0]).read_text())
    path = tmp_path / 'annotations.json'

    def build(**options):
        path.write_text(json.dumps(content))
        PoseNMSCocoMetric(str(path), **options)

    def refused(said):
        return pytest.raises(ValueError, match=f'^{path}[ :].*{said}')

    build()
    with refused('no crowdIndex'):
        build(iou_type='keypoints_crowd')
    del content['annotations'][2]['area']
    build(use_area=False)
    with refused('annotation .* area None.*use_area=False'):
        build()
    del content['categories']
    with refused("no list 'categories'"):
        build()


@pytest.mark.parametrize('bottom_up', [True, False])
def test_samples_that_come_twice(example, bottom_up):
    ann_file, results = example
    samples = samples_of(results, bottom_up)
    first = samples[0]
    with pytest.raises(
        ValueError, match=f'image {first["img_id"]}: .* came twice'
    ):
        evaluate(PoseNMSCocoMetric(ann_file=ann_file), [*samples, first])


@pytest.mark.parametrize('score', [0.0, -1.0])
def test_no_positive_score_is_warned_of(example, logged, score):
    said = logged(results_module)
    ann_file, results = example
    samples = samples_of(results)
    for sample in samples:
        sample['pred_instances']['keypoint_scores'][:] = score
    metric = PoseNMSCocoMetric(ann_file=ann_file, score_mode='bbox')
    assert evaluate(metric, samples)['coco/AP'] == 0
    (text,) = said
    image = samples[0]['img_id']
    assert f'result 0, image {image}): no pose is left' in text


def test_empty_predictions_beside_others(example):
    ann_file, results = example
    samples = samples_of(results)
    samples.append(
        dict(
            id=[],
            img_id=samples[0]['img_id'],
            gt_instances={},
            pred_instances=dict(
                keypoints=np.zeros(0), keypoint_scores=np.zeros(0)
            ),
        )
    )
    found = evaluate(PoseNMSCocoMetric(ann_file=ann_file), samples)
    assert found['coco/AP'] > 0.4


def everybody(dataset, bottom_up):
    """What a perfect model predicts of a data set's samples."""
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        found = dict(
            keypoints=info['keypoints'],
            keypoint_scores=np.ones(info['keypoints'].shape[:2]),
        )
        yield dict(
            id=info['id'],
            img_id=info['img_id'],
            category_id=info['category_id'],
            gt_instances={} if bottom_up else dict(bbox_scores=np.ones(1)),
            pred_instances=found,
        )


@pytest.mark.parametrize('mode', ['topdown', 'bottomup'])
@pytest.mark.parametrize(
    'values',
    [
        {},
        dict(category_id=9),
        dict(iscrowd=None, num_keypoints=None),
        dict(iscrowd=False),
        dict(segmentation=[]),
        dict(segmentation=dict(size=[72, 96], counts=[9, 6903])),
        dict(segmentation=[[1, 1, 9, 1, 9, 9]]),
    ],
)
def test_perfect_predictions_of_files_that_pass(
    tiny_coco, tmp_path, values, mode
):
    """None takes a value away."""
    changed = json.loads((tiny_coco / 'annotations.json').read_text())
    for person in changed['annotations']:
        person.update(values)
        for name in [n for n, value in values.items() if value is None]:
            del person[name]
    changed['categories'][0]['id'] = values.get('category_id', 1)
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(changed))
    annotations = KeypointAnnotations.read(path)
    annotations.check_dataset([''] * 17, mode == 'bottomup')
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=str(path),
            data_mode=mode,
            test_mode=True,
            pipeline=[],
        )
    )
    samples = everybody(dataset, mode == 'bottomup')
    found = evaluate(PoseNMSCocoMetric(annotations), list(samples))
    assert found['coco/AP'] == pytest.approx(1, abs=1e-12)
