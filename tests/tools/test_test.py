import builtins
import io
import json
import pickle
import shutil

import pytest
import torch


@pytest.fixture
def files(write_model):
    """A config, with changes, and weights, as a command line names them."""
    _, weights = write_model('own')
    return lambda **changes: [write_model(**changes)[0], weights]


def test_evaluates_and_writes(tool, files, tmp_path):
    out, dump = tmp_path / 'metrics.json', tmp_path / 'predictions.pkl'
    tool.main([*files(), '--out', str(out), '--dump', str(dump)])
    metrics = json.loads(out.read_text())
    assert 0 <= metrics['coco/AP'] <= 1
    assert metrics['boxes'] == 'ground truth'
    predictions = pickle.loads(dump.read_bytes())
    assert len(predictions) == 8
    assert predictions[0]['pred_instances']['keypoints'].shape == (1, 17, 2)


def test_the_annotations_are_read_once(
    tool, files, tiny_coco, tiny_detections, monkeypatch
):
    """Once by us, for all checks and the metric, and once by the data set."""
    path = str(tiny_coco / 'annotations.json')
    opened = []
    for module in (builtins, io):

        def spied(file, *args, own=module.open, **kwargs):
            opened.append(str(file))
            return own(file, *args, **kwargs)

        monkeypatch.setattr(module, 'open', spied)
    plain = {'test_evaluator.type': 'PoseNMSCocoMetric'}
    boxes = {'test_dataloader.dataset.bbox_file': str(tiny_detections)}
    for changes, times in ((plain, 0), (plain | boxes, 2)):
        opened.clear()
        tool.main(files(**changes))
        assert opened.count(path) == 2
        assert opened.count(str(tiny_detections)) == times


@pytest.mark.parametrize('metric', ['CocoMetric', 'PoseNMSCocoMetric'])
def test_results_of_pictures_without_annotations(
    tool, files, tiny_coco, tiny_detections, tmp_path, refusal, metric
):
    """The images of a test server, as COCO's image_info_test-dev2017.json."""
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    del content['annotations']
    content['categories'] = [dict(id=1, name='person')]
    info = tmp_path / 'image_info.json'
    info.write_text(json.dumps(content))
    changes = {
        'test_dataloader.dataset.ann_file': str(info),
        'test_dataloader.dataset.bbox_file': str(tiny_detections),
        'test_evaluator.ann_file': str(info),
        'test_evaluator.type': metric,
    }
    assert "no list 'annotations'" in refusal(tool.main, *files(**changes))
    changes |= {
        'test_evaluator.format_only': True,
        'test_evaluator.outfile_prefix': str(tmp_path / 'testdev'),
    }
    tool.main(files(**changes))
    results = json.loads((tmp_path / 'testdev.keypoints.json').read_text())
    assert {each['image_id'] for each in results} <= {
        image['id'] for image in content['images']
    }
    assert len(results) >= 8


def test_boxes_of_nothing_are_evaluated(tool, files, tiny_coco, tmp_path):
    """Empty boxes, boxes beyond the image and in one without people."""
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] != 2
    ]
    annotations = tmp_path / 'some.json'
    annotations.write_text(json.dumps(content))
    boxes = [[3, 3, 0, 0], [3, 3, 0, 40], [500, 500, 30, 40], [3, 3, -9, 9]]
    box = dict(category_id=1, score=0.9)
    boxes = [dict(box, image_id=1, bbox=bbox) for bbox in boxes]
    boxes.append(dict(box, image_id=2, bbox=[3, 3, 30, 40]))
    path, out = tmp_path / 'boxes.json', tmp_path / 'metrics.json'
    path.write_text(json.dumps(boxes))
    argv = files(
        **{
            'test_dataloader.dataset.ann_file': str(annotations),
            'test_dataloader.dataset.bbox_file': str(path),
            'test_evaluator.ann_file': str(annotations),
        }
    )
    tool.main([*argv, '--out', str(out)])
    assert json.loads(out.read_text())['coco/AP'] == 0


@pytest.mark.parametrize(
    'argv, changes, said',
    [
        ([], {'test_dataloader.dataset.ann_file': 'no.json'}, 'no.json'),
        (['--dump', 'x.json'], {}, 'must end in .pkl'),
        (
            [],
            {'model.head.final_layer': dict(kernel_size=3, padding=1)},
            'other shapes (head.final_layer.weight the first): is it of an',
        ),
        (['--out', 'x.txt'], {}, 'must end in .json'),
        (['--badcase'], {}, 'default_hooks.badcase'),
    ],
)
def test_wrong_set_up_is_told(tool, files, refusal, argv, changes, said):
    err = refusal(tool.main, *files(**changes), *argv)
    assert 'test.py: error: ' in err and said in err


def test_missing_and_hostile_checkpoints(tool, files, tmp_path, refusal):
    config, weights = files()
    err = refusal(tool.main, config, tmp_path / 'absent.pth')
    assert 'absent.pth does not exist' in err and 'tiny.pth' in err
    torch.save({'meta': object}, weights)
    assert 'builtins.object' in refusal(tool.main, config, weights)


def test_unreadable_image_at_test_is_an_error(
    tool, files, tiny_config, tiny_coco, tmp_path, refusal
):
    images = shutil.copytree(tiny_coco / 'images', tmp_path / 'images')
    path = images / '000000000003.jpg'
    path.write_bytes(path.read_bytes()[:40])  # it still begins as one
    dataset = tiny_config.test_dataloader.dataset
    dataset.pipeline[0] = dict(type='LoadImageOrSkip')
    changes = {
        'test_dataloader.num_workers': 1,
        'test_dataloader.dataset.data_prefix.img': str(images),
    }
    err = refusal(tool.main, *files(**changes))
    assert f'image {path} (image id 3) cannot be read' in err
    assert err.strip().endswith('remove the image from the annotation file')


@pytest.mark.parametrize('kind', ['loss', 'accuracy'])
def test_badcases(tool, files, kind):
    hook = dict(type='BadCaseAnalysisHook', enable=False, metric_type=kind)
    argv = files(**{'default_hooks.badcase': hook})
    args = tool.parse_args([*argv, '--badcase', '--show-dir', 'drawn'])
    cfg = tool.load_config(args)
    tool.apply_args(cfg, args)
    hook = cfg.default_hooks.badcase
    assert hook.enable and hook.out_dir == 'drawn'
    expected = {'loss': cfg.model.head.loss, 'accuracy': cfg.test_evaluator}
    assert hook.metric == expected[kind]
