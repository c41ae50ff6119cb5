import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments import box_robustness
from rmpe_spm.experiments.box_robustness import (
    CURVES,
    CurvePoint,
    box_curves,
    compared_table,
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
        metrics = {'coco/AR': 0.9, 'coco/AP': len(tested) / 10}
        return SimpleNamespace(metrics=metrics, results_file=None)

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
    assert [(p.kind, p.size, p.score) for p in points] == [
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
    found = {kind: CurvePoint(kind, 1.0, 0).boxes for kind in CURVES}
    assert found.pop('amplification') == 'detections'
    assert set(found.values()) == {'ground truth'}


def falling(slope):
    """Scores that fall from 0.7 by a slope."""
    return [
        CurvePoint(k, s, 0.7 - slope * s)
        for k, sizes in CURVES.items()
        for s in sizes
    ]


MADE_UP = {'plain': falling(0.2), 'RMPE': falling(0.05)}


def test_table_without_results():
    lines = compared_table(MADE_UP, None).splitlines()
    assert lines[0] == '| boxes | error | size | plain | RMPE |'
    assert lines[3] == '| ground truth | shift | 0.2 | 0.660 | 0.690 |'
    assert lines[-1] == '| detections | amplification | 3 | 0.100 | 0.550 |'
    assert len(lines) == 2 + sum(map(len, CURVES.values()))


def test_differences_have_intervals(tiny_config, tmp_path):
    """A model that finds everybody against one that finds nobody."""
    annotations = json.loads(
        Path(tiny_config.test_evaluator.ann_file).read_text()
    )
    points = []
    for name, shift in (('nobody', 1000), ('everybody', 0)):
        results = [
            dict(
                image_id=person['image_id'],
                category_id=1,
                keypoints=(
                    np.reshape(person['keypoints'], (-1, 3)) * (1, 1, 0)
                    + (shift, 0, 1)
                )
                .ravel()
                .tolist(),
                score=0.9,
            )
            for person in annotations['annotations']
        ]
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(results))
        points.append([CurvePoint('shift', 0.2, 0.5, path)])
    curves = dict(zip(('nobody', 'everybody'), points, strict=True))
    last = compared_table(curves, tiny_config).splitlines()[-1]
    assert last == (
        '| ground truth | shift | 0.2 | 0.500 | '
        '0.500 (+1.000: +1.000 to +1.000) |'
    )


def test_what_doubling_costs():
    assert doubling_summary(MADE_UP) == (
        "When box errors double from the detector's, plain loses 0.200 "
        '(1.00 of the first), RMPE loses 0.050 (0.25 of the first).'
    )
    # A model that gains leaves nothing to compare with.
    assert 'of the first' not in doubling_summary(
        dict(MADE_UP, plain=falling(-0.1))
    )


def test_drawn_curves():
    panels = draw_curves(MADE_UP).axes
    assert [axes.get_title() for axes in panels] == list(CURVES)
    lines = panels[-1].get_lines()
    for line, slope in zip(lines, (0.2, 0.05), strict=True):
        np.testing.assert_allclose(line.get_xdata(), CURVES['amplification'])
        np.testing.assert_allclose(
            line.get_ydata(), 0.7 - slope * line.get_xdata()
        )
