import json

import pytest


def test_writes_what_is_asked_for(tool, tmp_path, capsys):
    root = tmp_path / 'people'
    arguments = '--num-train 3 --num-val 2 --seed 5 --size 96 72 --workers 1'
    tool.main([str(root), *arguments.split()])
    assert '3 + 2 pictures' in capsys.readouterr().out
    record = json.loads((root / 'generator.json').read_text())
    assert record['seed'] == 5 and record['size'] == [96, 72]
    assert len(list((root / 'train2017').iterdir())) == 3


def test_in_space(tool, tmp_path):
    root = tmp_path / 'space'
    arguments = '--3d --num-train 2 --num-val 1 --size 96 72'
    tool.main([str(root), *arguments.split()])
    assert len(list(root.glob('train/view_*/hdImgs/00_00/*.jpg'))) == 2


@pytest.mark.parametrize('kind', [[], ['--3d']])
def test_failures_are_told(tool, tmp_path, refusal, kind):
    (tmp_path / 'other.txt').touch()
    assert str(tmp_path) in refusal(tool.main, tmp_path, *kind)
