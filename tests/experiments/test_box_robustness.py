import json

import numpy as np
import pytest
import torch
from mmpose.models import build_pose_estimator

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments import box_robustness
from rmpe_spm.experiments.box_robustness import (
    CURVES,
    box_curves,
    curve_tables,
    doubling_summary,
    draw_curves,
    evaluate_on_boxes,
    write_box_sets,
)

BBOX_FILE = box_robustness.BBOX_FILE
SOME = {'shift': (0, 0.2), 'amplification': (1, 2)}


@pytest.fixture
def config(tiny_config, tiny_detections, tmp_path):
    """A config whose metrics tell any two sets of predictions apart."""
    tiny_config.test_dataloader.dataset.bbox_file = str(tiny_detections)
    tiny_config.test_evaluator = [
        dict(
            type='PoseNMSCocoMetric',
            ann_file=tiny_config.test_evaluator.ann_file,
            score_mode='keypoint',
        ),
        dict(type='DumpedSum'),
    ]
    tiny_config.dump(tmp_path / 'tiny.py')
    return str(tmp_path / 'tiny.py')


@pytest.fixture(autouse=True)
def _dumped_sum():
    """AP of noise is 0 whatever the boxes are; sums of keypoints are not."""
    from mmengine.evaluator import BaseMetric
    from mmpose.registry import METRICS

    @METRICS.register_module(force=True)
    class DumpedSum(BaseMetric):
        default_prefix = 'sum'

        def process(self, data_batch, data_samples):
            for sample in data_samples:
                keypoints = sample['pred_instances']['keypoints']
                self.results.append(float(keypoints.sum()))

        def compute_metrics(self, results):
            return dict(keypoints=sum(results), instances=len(results))

    yield
    METRICS.module_dict.pop('DumpedSum')


@pytest.fixture
def weights(tiny_config, tmp_path):
    torch.manual_seed(0)
    model = build_pose_estimator(tiny_config.model)
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


def test_metrics_are_those_of_the_test_tool(
    config, tiny_config, weights, load_tool, tmp_path
):
    """One load for three sets of boxes, against a start of the tool each."""
    tool = load_tool('test')
    files = write_box_sets(tiny_config, tmp_path / 'boxes', SOME)
    files = list(dict.fromkeys(files.values()))
    assert len(files) == 4
    several = list(evaluate_on_boxes(tiny_config, weights, files))
    for number, (path, metrics) in enumerate(zip(files, several, strict=True)):
        out = tmp_path / f'{number}.json'
        options = [f'{BBOX_FILE}={path}', f'experiment_name=tool_{number}']
        tool.main(
            [config, str(weights), '--out', str(out), '--cfg-options']
            + options
        )
        expected = json.loads(out.read_text())
        assert expected.pop('boxes') == f'detections {path.name}'
        assert metrics == pytest.approx(expected)
    sums = [metrics['sum/keypoints'] for metrics in several]
    assert len(set(sums)) == 4
    assert all(metrics['sum/instances'] == 8 for metrics in several)


def test_size_0_is_the_test_on_annotated_boxes(
    tiny_config, config, weights, tmp_path
):
    cfg = tiny_config
    files = write_box_sets(cfg, tmp_path, {'scale': (0,)})
    (perturbed,) = evaluate_on_boxes(cfg, weights, files.values())
    (oracle,) = evaluate_on_boxes(cfg, weights, [''])
    assert perturbed == pytest.approx(oracle, rel=1e-4)


def test_curves_are_evaluated_once(config, weights, tmp_path, monkeypatch):
    seen = []

    def evaluate(cfg, checkpoint, files):
        for path in files:
            seen.append(path.name)
            if len(seen) == 3:
                raise KeyboardInterrupt
            yield {'coco/AP': len(seen) / 10}

    monkeypatch.setattr(box_robustness, 'evaluate_on_boxes', evaluate)
    curves = dict(SOME, truncation=(0, 0.2))
    folder = tmp_path / 'curves'
    with pytest.raises(KeyboardInterrupt):
        box_curves(config, weights, folder, curves)
    points = box_curves(config, weights, folder, curves)
    assert seen == [
        'annotated.json',
        'shift_0.2.json',
        'amplification_1.json',
        'amplification_1.json',
        'amplification_2.json',
        'truncation_0.2.json',
    ]
    assert [(p.kind, p.size, p.metrics['coco/AP']) for p in points] == [
        ('shift', 0, 0.1),
        ('shift', 0.2, 0.2),
        ('amplification', 1, 0.4),
        ('amplification', 2, 0.5),
        ('truncation', 0, 0.1),
        ('truncation', 0.2, 0.6),
    ]
    assert box_curves(config, weights, folder, curves) == points
    assert len(seen) == 6
    # Other directions are other boxes, other weights another model.
    box_curves(config, weights, folder, curves, seed=1)
    assert seen[6:] == ['shift_0.2.json', 'truncation_0.2.json']
    torch.save({}, weights)
    box_curves(config, weights, folder, curves, seed=1)
    assert len(seen) == 8 + 5


def test_weights_of_another_model_are_refused(tiny_config, tmp_path):
    path = tmp_path / 'foreign.pth'
    torch.save(dict(state_dict={'foo.weight': torch.ones(1)}), path)
    with pytest.raises(ConfigError, match='foreign.pth lacks'):
        next(evaluate_on_boxes(tiny_config, path, ['boxes.json']))


def test_detections_are_needed_to_amplify(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match='bbox_file is not set'):
        write_box_sets(tiny_config, tmp_path)


def test_points_say_whose_boxes_have_errors():
    found = {
        kind: box_robustness.CurvePoint(kind, 1.0, {}).boxes
        for kind in box_robustness.CURVES
    }
    assert found.pop('amplification') == 'detections'
    assert set(found.values()) == {'ground truth'}


def falling(*slopes):
    """AP that falls from 0.7 by these slopes, one a seed."""
    return [
        {(k, s): 0.7 - slope * s for k, sizes in CURVES.items() for s in sizes}
        for slope in slopes
    ]


MADE_UP = {'plain': falling(0.2, 0.3), 'RMPE': falling(0.05, 0.05)}


def test_tables_of_curves():
    tables = curve_tables(MADE_UP).split('\n\n')
    assert len(tables) == len(CURVES)
    lines = tables[-1].splitlines()
    assert lines[0] == "| detector's error times | plain | RMPE |"
    sizes = [line.split(' | ')[0] for line in lines[2:]]
    assert sizes == ['| 0', '| 0.5', '| 1', '| 1.5', '| 2', '| 3']
    assert lines[6] == '| 2 | 0.200 ± 0.141 | 0.600 ± 0.000 |'


def test_what_doubling_costs():
    said = doubling_summary(MADE_UP)
    assert 'plain loses 0.250 ± 0.071 AP' in said
    assert 'RMPE loses 0.050 ± 0.000 AP' in said
    assert '0.20 of what the plain model loses' in said
    # A model that gains leaves nothing to compare with.
    gains = dict(MADE_UP, plain=falling(-0.1))
    assert 'of what' not in doubling_summary(gains)


def test_drawn_curves():
    panels = draw_curves(MADE_UP).axes
    assert [axes.get_title() for axes in panels] == list(CURVES)
    for line, slope in zip(
        panels[-1].get_lines()[:2], (0.25, 0.05), strict=True
    ):
        np.testing.assert_allclose(line.get_xdata(), CURVES['amplification'])
        np.testing.assert_allclose(
            line.get_ydata(), 0.7 - slope * line.get_xdata()
        )
