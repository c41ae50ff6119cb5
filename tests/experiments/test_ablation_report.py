import json

import numpy as np
import pytest

from rmpe_spm.experiments.box_robustness import CURVES, CurvePoint
from rmpe_spm.experiments.rmpe_ablation import CURVE_MODELS, ROWS, SeedResult
from rmpe_spm.experiments.rmpe_ablation_report import (
    ablation_table,
    curve_tables,
    doubling_losses,
    doubling_summary,
    draw_curves,
    spread,
    write_report,
)

# Of each test, AP without NMS, with OKS NMS and with the parametric one.
APS = {
    'test_plain': (0.4, 0.45, 0.46),
    'test_jitter': (0.5, 0.51, 0.52),
    'test_pgpg': (0.55, 0.56, 0.57),
    'test_sstn': (0.6, 0.61, 0.62),
    'test_parallel': (0.65, 0.7, 0.72),
    'test_oracle': (0.8, 0.81, 0.82),
}


def three_ways(values):
    return {
        f'{name}/{metric}': value + offset
        for name, value in zip(
            ('none', 'oks', 'parametric'), values, strict=True
        )
        for metric, offset in (('AP', 0), ('AP .5', 0.1), ('AR', 0.05))
    }


def result(seed, shift=0.0):
    """A made-up result; ``shift`` is added to the plain model's AP."""
    metrics = {name: three_ways(values) for name, values in APS.items()}
    metrics['test_plain'] = three_ways(np.add(APS['test_plain'], shift))
    # AP falls by the slope for an error of size 1.
    slopes = {'plain': 0.2 + shift, 'parallel': 0.05}
    curves = {
        model: [
            CurvePoint(kind, size, three_ways([0.7 - slope * size] * 3))
            for kind, sizes in CURVES.items()
            for size in sizes
        ]
        for model, slope in slopes.items()
    }
    runs = {name for row in ROWS for name in row.runs}
    runs |= {f'curves_{model}' for model in CURVE_MODELS}
    commands = {name: f'python {name}.py' for name in runs}
    return SeedResult(seed, metrics, curves, commands, {})


def rows(table):
    lines = [line.strip('| ') for line in table.splitlines()[2:]]
    cells = [[c.strip() for c in line.split('|')] for line in lines]
    return {first: rest for first, *rest in cells}


def test_table_with_one_seed():
    table = rows(ablation_table([result(0)]))
    assert list(table) == [row.label for row in ROWS]
    assert table['plain two-step'] == ['0.400', '0.500', '0.450']
    assert table['+ jitter'] == ['0.500', '0.600', '0.550', '+0.100']
    label = 'RMPE: all that + pose NMS'
    assert table[label] == ['0.720', '0.820', '0.770', '+0.320']
    assert table['RMPE with OKS NMS instead'][0] == '0.700'
    assert table['plain two-step with OKS NMS'][0] == '0.450'
    assert table['RMPE on annotated boxes (oracle)'][0] == '0.820'


def test_spread_over_seeds():
    table = rows(ablation_table([result(0), result(1, 0.1), result(2, -0.1)]))
    assert table['plain two-step'][0] == '0.400 ± 0.100'
    assert table['+ PGPG'] == [
        '0.550 ± 0.000',
        '0.650 ± 0.000',
        '0.600 ± 0.000',
        '+0.150 ± 0.100',
    ]
    assert spread([0.5]) == '0.500'
    assert spread([0.1, 0.3]) == '0.200 ± 0.141'


def test_what_doubling_costs():
    results = [result(0), result(1, 0.1)]
    assert doubling_losses(results, 'plain') == pytest.approx([0.2, 0.3])
    assert doubling_losses(results, 'parallel') == pytest.approx([0.05] * 2)
    said = doubling_summary(results)
    assert 'plain two-step, OKS NMS loses 0.250 ± 0.071 AP' in said
    assert 'RMPE loses 0.050 ± 0.000 AP' in said
    assert '0.20 of what the plain model loses' in said
    # A model that gains leaves nothing to compare with.
    assert 'of what' not in doubling_summary([result(0, -0.3)])


def test_curves():
    results = [result(0), result(1, 0.1)]
    tables = curve_tables(results).split('\n\n')[: len(CURVES)]
    amplified = rows(tables[-1])
    assert amplified['2'] == ['0.200 ± 0.141', '0.600 ± 0.000']
    assert list(amplified) == ['0', '0.5', '1', '1.5', '2', '3']
    figure = draw_curves(results)
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == list(CURVES)
    plain, full = panels[-1].get_lines()[:2]
    np.testing.assert_allclose(plain.get_xdata(), CURVES['amplification'])
    np.testing.assert_allclose(
        plain.get_ydata(), 0.7 - 0.25 * plain.get_xdata()
    )
    np.testing.assert_allclose(full.get_ydata(), 0.7 - 0.05 * full.get_xdata())


def test_report(tmp_path):
    results = [result(0), result(1)]
    page = write_report(results, tmp_path, 'How it was made.')
    text = page.read_text()
    assert 'How it was made.' in text and ablation_table(results) in text
    for name in results[0].commands:
        assert text.count(f'`python {name}.py`') == 1
    assert '(robustness.png)' in text
    assert (tmp_path / 'robustness.png').read_bytes()[1:4] == b'PNG'
    content = json.loads((tmp_path / 'results.json').read_text())
    full = content['rows'][5]
    assert full['AP'] == [0.72, 0.72]
    assert full['runs'] == ['stage1_pgpg', 'stage2_parallel', 'test_parallel']
    assert content['doubling_losses']['plain'] == pytest.approx([0.2, 0.2])
    assert content['seeds'][1]['seed'] == 1
