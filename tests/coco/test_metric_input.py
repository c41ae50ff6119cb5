"""The numbers beside mmpose's own, and input that can't be evaluated."""

import json
from pathlib import Path

import numpy as np
import pytest
from coco_samples import META, evaluate, samples_of
from mmengine.logging import MessageHub
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric

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


@pytest.mark.parametrize('given', [True, False])
def test_crowdpose_equals_mmpose(fixture_files, given):
    """With the annotations in a file, or in the samples."""
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
    annotations = json.loads(Path(ann_file).read_text())
    samples = annotate(samples_of(results), annotations)
    meta = dict(META, CLASSES=annotations['categories'])
    found = evaluate(PoseNMSCocoMetric(), samples, meta)
    expected = evaluate(CocoMetric(nms_mode='none'), samples, meta)
    assert found == expected
    assert found['coco/AP'] > 0.4


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
        (dict(keypoint_scores=None), 'image 785 have no keypoint_scores'),
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
            poses[name] = value if value is None else poses[name] * value
    metric = PoseNMSCocoMetric(nms=nms, ann_file=ann_file, score_mode='bbox')
    with pytest.raises(ValueError, match=said):
        evaluate(metric, samples)


@pytest.mark.parametrize(
    'key, name, said',
    [
        ('images', None, "no list 'images'"),
        ('annotations', None, "no list 'annotations'"),
        ('categories', None, "no list 'categories'"),
        ('images', 'id', 'image number 2 '),
        ('annotations', 'image_id', 'annotation number 2 has the image_id'),
        ('annotations', 'keypoints', 'annotation .* as keypoints'),
        ('annotations', 'area', 'annotation .* area None.*use_area=False'),
    ],
)
def test_bad_annotations_are_found_before_the_test(
    example, tmp_path, key, name, said
):
    content = json.loads(Path(example[0]).read_text())
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    PoseNMSCocoMetric(str(path))
    del (content[key][2] if name else content)[name or key]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'^{path}[ :].*{said}'):
        PoseNMSCocoMetric(ann_file=str(path))


def test_options_decide_what_is_needed(example, tmp_path):
    content = json.loads(Path(example[0]).read_text())
    del content['annotations'][2]['area']
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    PoseNMSCocoMetric(str(path), use_area=False)
    with pytest.raises(ValueError, match='has no crowdIndex'):
        PoseNMSCocoMetric(str(path), iou_type='keypoints_crowd')
    path.write_text('{')
    with pytest.raises(ValueError, match='annotations.json is not a JSON'):
        PoseNMSCocoMetric(str(path))
    with pytest.raises(FileNotFoundError, match=r'absent\.json'):
        PoseNMSCocoMetric(str(tmp_path / 'absent.json'))


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
