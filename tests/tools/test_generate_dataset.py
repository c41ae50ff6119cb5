import json

import pytest


@pytest.fixture
def tool(load_tool):
    return load_tool('generate_dataset')


def test_writes_what_is_asked_for(tool, tmp_path, capsys):
    root = tmp_path / 'people'
    arguments = '--num-train 3 --num-val 2 --seed 5 --size 96 72 --workers 1'
    assert tool.main([str(root), *arguments.split()]) == 0
    assert '3 + 2 pictures' in capsys.readouterr().out
    record = json.loads((root / 'generator.json').read_text())
    assert record['seed'] == 5 and record['size'] == [96, 72]
    assert len(list((root / 'train2017').iterdir())) == 3


def test_failures_are_told(tool, tmp_path, capsys):
    (tmp_path / 'other.txt').touch()
    assert tool.main([str(tmp_path)]) == 2
    assert 'other.txt' in capsys.readouterr().err


def test_interruption_leaves_no_record(tool, tmp_path, capsys, monkeypatch):
    from rmpe_spm.synthetic import people_dataset

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(people_dataset, '_write_sample', interrupted)
    root = tmp_path / 'people'
    assert tool.main([str(root), '--num-train', '3', '--workers', '1']) == 130
    assert 'not finished' in capsys.readouterr().err
    assert not (root / 'generator.json').exists()
    monkeypatch.undo()
    argv = [str(root), '--num-train', '1', '--num-val', '1', '--workers', '1']
    assert not tool.main(argv)
    assert (root / 'generator.json').exists()
