import numpy as np
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.robustness import (
    POINTS,
    SIZES,
    CurvePoint,
    box_sources,
    curve_table,
    doubling_summary,
    draw_curves,
    read_curves,
)
from rmpe_spm.leaderboard.tables import build_tables


def falling(slope, gain=None):
    """Scores that fall from 0.7 by a slope."""
    return {
        (kind, size): CurvePoint(0.7 - slope * size, gain)
        for kind, size in POINTS
    }


MADE_UP = {'plain': falling(0.2), 'RMPE': falling(0.05, (0.1, -0.1, 0.2))}


def test_sources_of_each_point():
    sources = box_sources('detections.json', seed=3)
    assert list(sources) == POINTS
    names = [str(source) for source in dict.fromkeys(sources.values())]
    assert names[0] == 'ground truth' and len(names) == len(POINTS) - 2
    assert names[1] == 'shift 0.2, seed 3'
    for (kind, _), source in sources.items():
        file = 'detections.json' if kind == 'amplification' else None
        assert source.file == file
    kinds = {kind for kind, _ in box_sources(None)}
    assert kinds == SIZES.keys() - {'amplification'}


def test_points_are_those_of_the_table(write_model, evaluate):
    """Two models on annotated and shifted boxes, and what one has over the
    other."""
    sources = {
        point: source
        for point, source in box_sources(None).items()
        if point in [('shift', 0.0), ('shift', 0.2), ('scale', 0.0)]
    }
    one, two = write_model('one'), write_model('two', seed=1)
    rows = evaluate(*one, *two, boxes=['ground_truth', 'shift:0.2'])
    curves = read_curves(rows, sources, num_resamples=50)
    with pytest.raises(ConfigError, match="no 'Total': rank by one of .*AP50"):
        read_curves(rows, sources, 'Total')
    (table,) = build_tables(rows, 'AP', 50)
    for model, points in curves.items():
        assert list(points) == list(sources)
        assert points['scale', 0.0] == points['shift', 0.0]
        for (_, size), (score, gain) in points.items():
            boxes = 'shift 0.2' if size else 'ground truth'
            (row,) = (
                r
                for r in table.rows
                if r.model == model
                and (boxes in r.boxes if size else r.boxes == boxes)
            )
            assert score == row.metrics['AP']
            if model == 'one':
                assert gain is None
                continue
            value, low, high = gain
            assert value == pytest.approx(
                score - curves['one']['shift', size].score
            )
            assert low <= value <= high


def test_table():
    lines = curve_table(MADE_UP).splitlines()
    assert lines[0] == '| box error | size | plain | RMPE |'
    gain = '(+0.100: -0.100 to +0.200)'
    assert lines[2] == f'| none | 0 | 0.700 | 0.700 {gain} |'
    assert lines[-1] == f'| amplification | 3 | 0.100 | 0.550 {gain} |'
    # the annotated boxes once
    assert len(lines) == 2 + len(POINTS) - 2


def test_what_doubling_costs():
    assert doubling_summary(MADE_UP) == (
        'When the errors double from the detector, plain loses 0.200 (1.00 of '
        'the first), RMPE loses 0.050 (0.25 of the first).'
    )
    # A model that gains leaves nothing to compare with.
    gains = dict(MADE_UP, plain=falling(-0.1))
    assert 'of the first' not in doubling_summary(gains)


def test_drawn_curves():
    panels = draw_curves(MADE_UP).axes
    assert [axes.get_title() for axes in panels] == list(SIZES)
    lines = panels[-1].get_lines()
    for line, slope in zip(lines, (0.2, 0.05), strict=True):
        np.testing.assert_allclose(line.get_xdata(), SIZES['amplification'])
        np.testing.assert_allclose(
            line.get_ydata(), 0.7 - slope * line.get_xdata()
        )
