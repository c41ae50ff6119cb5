from pathlib import Path

import pytest

from rmpe_spm.experiments.box_robustness import CurvePoint


@pytest.fixture
def tool(load_tool):
    return load_tool('test_box_errors')


@pytest.mark.parametrize(
    'metrics, columns, values',
    [
        ({'coco/AP': 0.25, 'coco/AR': 0.3}, 'coco/AP', '0.250'),
        ({'mpii/Head': 80.0, 'mpii/Total': 61.5}, 'mpii/Total', '61.500'),
        (
            {'none/AP': 0.1, 'oks/AP': 0.2, 'oks/AR': 0.3},
            'none/AP | oks/AP',
            '0.100 | 0.200',
        ),
    ],
)
def test_table(tool, monkeypatch, capsys, metrics, columns, values):
    given = []

    def curves(*args, **kwargs):
        given.append((args, kwargs))
        return [CurvePoint('shift', 0.2, metrics)]

    monkeypatch.setattr(tool, 'box_curves', curves)
    argv = ['config.py', 'weights.pth', '--work-dir', 'folder', '--seed', '3']
    tool.main([*argv, '--cfg-options', 'a.b=1'])
    boxes = CurvePoint('shift', 0.2, metrics).boxes
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'| boxes | error | size | {columns} |'
    assert lines[1].count('|') == lines[0].count('|')
    assert lines[2] == f'| {boxes} | shift | 0.2 | {values} |'
    (((config, checkpoint, folder), options),) = given
    assert (config, checkpoint) == ('config.py', 'weights.pth')
    assert folder == Path('folder')
    assert options == dict(seed=3, cfg_options={'a.b': 1})
