import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments import box_robustness
from rmpe_spm.experiments.box_robustness import (
    CURVES,
    box_curves,
    curve_tables,
    doubling_summary,
    draw_curves,
    write_box_sets,
)


def test_each_set_of_boxes_is_one_test(
    tiny_config, tiny_detections, tmp_path, monkeypatch
):
    """Sets without errors, of several kinds, are the annotated boxes."""
    tested = []

    def run(config, checkpoint, folder, cfg_options):
        assert (config, checkpoint) == (path, 'weights.pth')
        assert cfg_options.pop('a.b') == 1
        ((key, file),) = cfg_options.items()
        boxes = json.loads(Path(file).read_text())
        tested.append((key, folder.name, len(boxes), boxes[0]['score']))
        return SimpleNamespace(metrics={'coco/AP': len(tested) / 10})

    monkeypatch.setattr(box_robustness, 'run_test', run)
    tiny_config.test_dataloader.dataset.bbox_file = str(tiny_detections)
    path = tmp_path / 'tiny.py'
    tiny_config.dump(path)
    curves = dict(shift=(0, 0.2), amplification=(1, 2), truncation=(0,))
    options = {'a.b': 1}
    points = box_curves(
        path, 'weights.pth', tmp_path / 'c', curves, cfg_options=options
    )
    option = 'test_dataloader.dataset.bbox_file'
    assert tested == [
        (option, 'annotated', 8, 1),
        (option, 'shift_0.2', 8, 1),
        (option, 'amplification_1', 8, 0.9),
        (option, 'amplification_2', 8, 0.9),
    ]
    assert [(p.kind, p.size, p.metrics['coco/AP']) for p in points] == [
        ('shift', 0, 0.1),
        ('shift', 0.2, 0.2),
        ('amplification', 1, 0.3),
        ('amplification', 2, 0.4),
        ('truncation', 0, 0.1),
    ]
    shifted = (tmp_path / 'c/boxes/shift_0.2.json').read_text()
    box_curves(path, 'weights.pth', tmp_path / 'd', curves, 1, options)
    assert (tmp_path / 'd/boxes/shift_0.2.json').read_text() != shifted


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
