"""The numbers beside mmpose's own, and input that can't be evaluated."""

import json
from pathlib import Path

import numpy as np
import pytest
from coco_samples import META, evaluate, samples_of
from mmengine.logging import MessageHub
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric

from rmpe_spm.coco import result_checks as coco_checks
from rmpe_spm.coco.metric import PoseNMSCocoMetric


@pytest.fixture(autouse=True)
def _own_message_hub(request):
    """No annotation file that a data set of another test left there.

    mmpose's metric without one takes that, whatever the samples hold.
    """
    MessageHub.get_instance(request.node.nodeid)


@pytest.fixture(scope='module')
def example(shared_dir):
    """Annotations and results of COCO's reference example."""
    folder = shared_dir / 'data' / 'evaluator_fixtures'
    results = json.loads((folder / 'example_coco_preds.json').read_text())
    return str(folder / 'example_coco_val.json'), results


@pytest.mark.parametrize('given', [True, False])
def test_crowdpose_equals_mmpose(shared_dir, given):
    """With the annotations in a file, or in the samples."""
    folder = shared_dir / 'data' / 'evaluator_fixtures'
    ann_file = folder / 'example_crowdpose_val.json'
    annotations = json.loads(ann_file.read_text())
    samples = samples_of(
        json.loads((folder / 'example_crowdpose_preds.json').read_text())
    )
    for sample in samples:
        (image,) = [
            i for i in annotations['images'] if i['id'] == sample['img_id']
        ]
        sample.update(
            ori_shape=(image['height'], image['width']),
            crowd_index=image['crowdIndex'],
            raw_ann_info=[
                a
                for a in annotations['annotations']
                if a['image_id'] == image['id']
            ],
        )
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
                score_mode='bbox',
                **options,
            ),
            samples,
            meta,
        )
        for metric, options in (
            (PoseNMSCocoMetric, {}),
            (CocoMetric, dict(nms_mode='none')),
        )
    )
    if not given:
        # mmpose reads easy, medium and hard from the file it has written
        assert expected['crowdpose/AP(H)'] == found['crowdpose/AP(H)'] > 0
    assert found == expected
    assert round(found['crowdpose/AP'], 4) == 0.7877


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


def test_annotations_from_the_samples(example):
    ann_file, results = example
    with open(ann_file) as file:
        annotations = json.load(file)
    samples = samples_of(results)
    for sample in samples:
        sample.update(
            ori_shape=(400, 600),
            raw_ann_info=[
                a
                for a in annotations['annotations']
                if a['image_id'] == sample['img_id']
            ],
        )
    meta = dict(META, CLASSES=annotations['categories'])
    found = evaluate(PoseNMSCocoMetric(), samples, meta)
    expected = evaluate(CocoMetric(nms_mode='none'), samples, meta)
    assert found == expected
    assert found['coco/AP'] > 0.4


@pytest.mark.parametrize('nms', [None, dict(type='OKSNMS')])
@pytest.mark.parametrize(
    'spoil,message',
    [
        (
            lambda sample: sample.update(img_id=99),
            r'the predictions: result 0 \(image 99\) is for an image that',
        ),
        (
            lambda sample: sample['pred_instances']['keypoints'].put(
                3, np.nan
            ),
            r'result 0 \(image 785\) has nan as y of joint 1',
        ),
        (
            lambda sample: sample['pred_instances']['bbox_scores'].put(
                1, np.inf
            ),
            r'result 1 \(image 785\) has the score inf',
        ),
        (
            lambda sample: sample['pred_instances'].update(
                keypoint_scores=None
            ),
            'image 785 have no keypoint_scores',
        ),
        (
            lambda sample: sample['pred_instances'].update(
                keypoints=sample['pred_instances']['keypoints'][:, :14],
                keypoint_scores=np.ones((1, 14)),
            ),
            'image 785 have 14 joints, but the data set has 17',
        ),
    ],
)
def test_bad_predictions(example, spoil, message, nms):
    ann_file, results = example
    samples = samples_of(results)
    assert samples[0]['img_id'] == 785
    spoil(samples[0])
    metric = PoseNMSCocoMetric(nms=nms, ann_file=ann_file, score_mode='bbox')
    with pytest.raises(ValueError, match=message):
        evaluate(metric, samples)


def test_bad_annotations_are_found_before_the_test(example, tmp_path):
    with open(example[0]) as file:
        annotations = json.load(file)
    path = tmp_path / 'annotations.json'
    people = annotations['annotations']

    def metric(**options):
        path.write_text(json.dumps(annotations))
        return PoseNMSCocoMetric(ann_file=str(path), **options)

    people[3]['id'] = people[1]['id']
    name = people[1]['id']
    with pytest.raises(
        ValueError, match=rf'{path}: annotation {name} of .* same id'
    ):
        metric()
    people[3]['id'] = 1
    del people[2]['area']
    with pytest.raises(ValueError, match='has no area.*use_area=False'):
        metric()
    metric(use_area=False)
    with pytest.raises(ValueError, match='has no crowdIndex'):
        metric(use_area=False, iou_type='keypoints_crowd')


@pytest.mark.parametrize(
    'spoil,message',
    [
        (lambda content: content.clear(), "there is no list 'images'"),
        (lambda content: content.pop('annotations'), "no list 'annotations'"),
        (lambda content: content.pop('categories'), "no list 'categories'"),
        (
            lambda content: content['annotations'][2].pop('image_id'),
            'annotation number 2 has no image_id',
        ),
        (
            lambda content: content['annotations'][2].pop('keypoints'),
            "annotation .* of image .* no list of finite numbers 'keypoints'",
        ),
        (lambda content: content['images'][1].pop('id'), 'image number 1 has'),
    ],
)
def test_malformed_annotation_files(example, tmp_path, spoil, message):
    content = json.loads(Path(example[0]).read_text())
    spoil(content)
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'^{path}: .*{message}'):
        PoseNMSCocoMetric(ann_file=str(path))
    path.write_text('{')
    with pytest.raises(ValueError, match='annotations.json is not a JSON'):
        PoseNMSCocoMetric(ann_file=str(path))


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
def test_no_positive_score_is_warned_of(example, monkeypatch, score):
    said = []
    monkeypatch.setattr(
        coco_checks, 'print_log', lambda text, *_, **__: said.append(text)
    )
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


def test_results_file_equals_mmposes(example, tmp_path):
    ann_file, results = example
    for bottom_up in (True, False):
        samples = samples_of(results, bottom_up)
        contents = []
        for metric, options in (
            (PoseNMSCocoMetric, {}),
            (CocoMetric, dict(nms_mode='none')),
        ):
            prefix = tmp_path / f'new/{metric.__name__}'
            evaluate(
                metric(
                    ann_file=ann_file,
                    outfile_prefix=str(prefix),
                    format_only=True,
                    **options,
                ),
                samples,
            )
            contents.append(
                json.loads(prefix.with_suffix('.keypoints.json').read_text())
            )
        assert contents[0] == contents[1]
        assert len(contents[0]) > 50
