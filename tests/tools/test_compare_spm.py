"""From the command line through the real tools to the report."""

import pytest

from rmpe_spm.experiments import tool_runs


@pytest.fixture
def tool(load_tool):
    return load_tool('compare_spm')


def test_compares_and_goes_on(tool, tiny_config, tmp_path, capsys):
    """A top-down model will do: it finds everybody, as boxes are given."""
    config = tmp_path / 'tiny.py'
    tiny_config.dump(config)
    work_dir = tmp_path / 'compared'
    argv = [f'one={config}', '--seeds', '0', '--work-dir', str(work_dir)]
    tool.main(argv)
    shown = capsys.readouterr().out
    assert 'tools/train.py' in shown and '--no-validate' in shown
    assert '| AP | 0.' in shown
    assert '136 joints of 8 people' in shown
    assert (work_dir / 'joint_errors.png').is_file()
    report = (work_dir / 'report.md').read_text()
    assert report in shown
    tool.main(argv)
    again = capsys.readouterr().out
    assert 'tools/train.py' not in again and 'is finished' in again
    assert report in again


@pytest.mark.parametrize(
    'configs, said',
    [
        (['x.py'], 'is not NAME=CONFIG'),
        (['a/b=x.py'], 'is not NAME=CONFIG'),
        (['a=x.py', 'a=y.py'], 'the same name'),
        (['a=absent.py'], 'absent.py does not exist'),
    ],
)
def test_wrong_command_lines_are_told(tool, configs, said, capsys):
    with pytest.raises(SystemExit) as caught:
        tool.main(configs)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_failed_training_names_its_log(
    tool, tiny_config, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(tool_runs, 'TOOLS', tmp_path)
    (tmp_path / 'train.py').write_text('raise SystemExit("no such net")')
    config = tmp_path / 'tiny.py'
    tiny_config.dump(config)
    work_dir = tmp_path / 'compared'
    with pytest.raises(SystemExit) as caught:
        tool.main([f'one={config}', '--work-dir', str(work_dir)])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert 'no such net' in err
    assert f'its log is {work_dir}/one/seed0/train/train.log' in err
