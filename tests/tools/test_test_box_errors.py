import pytest

from rmpe_spm.experiments.box_robustness import CURVES, CurvePoint


@pytest.fixture
def tool(load_tool, monkeypatch):
    tool, tool.given = load_tool('test_box_errors'), []

    def curves(config, checkpoint, folder, **options):
        tool.given.append((config, checkpoint, folder.name, options))
        return [
            CurvePoint(kind, size, 0.25)
            for kind, sizes in CURVES.items()
            for size in sizes
        ]

    monkeypatch.setattr(tool, 'box_curves', curves)
    return tool


def test_table_and_picture(tool, tmp_path, capsys):
    (tmp_path / 'a.py').write_text('a = dict(b=0)')
    config = str(tmp_path / 'a.py')
    argv = [config, 'a.pth', config, 'b.pth', '--names', 'one', 'two']
    argv += ['--work-dir', str(tmp_path), '--seed', '3']
    tool.main([*argv, '--cfg-options', 'a.b=1'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '| boxes | error | size | one | two |'
    assert lines[3] == '| ground truth | shift | 0.2 | 0.250 | 0.250 |'
    assert (tmp_path / 'results.md').read_text().splitlines() == lines
    assert (tmp_path / 'robustness.png').read_bytes()[1:4] == b'PNG'
    options = dict(seed=3, cfg_options={'a.b': 1})
    assert tool.given == [
        (config, 'a.pth', 'one', options),
        (config, 'b.pth', 'two', options),
    ]


@pytest.mark.parametrize(
    'models, said',
    [
        (['a.py'], 'each config needs a checkpoint'),
        (['a.py', 'a.pth', 'x/a.py', 'b.pth'], 'all different'),
    ],
)
def test_wrong_models_are_told(tool, capsys, models, said):
    with pytest.raises(SystemExit):
        tool.main([*models, '--work-dir', 'folder'])
    assert said in capsys.readouterr().err
