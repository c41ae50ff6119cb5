import json
import time

import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments import runs
from rmpe_spm.experiments.runs import RunFolder, digest_settings, find_inputs


def folder_of(tmp_path, **inputs):
    return RunFolder(tmp_path / 'run', inputs)


def test_finished_run_is_remembered(tmp_path):
    run = folder_of(tmp_path, seed=1)
    assert run.outcome() is None
    assert not run.folder.exists()
    with run.attempt():
        time.sleep(0.2)
    (run.folder / 'x.pth').touch()
    assert folder_of(tmp_path, seed=1).outcome() is None
    outcome = run.finish(['x.pth'], ap=0.5)
    assert folder_of(tmp_path, seed=1).outcome() == outcome
    assert outcome['files'] == ['x.pth'] and outcome['ap'] == 0.5
    assert outcome['seconds'] >= 0.2
    # Not once what it made is gone.
    (run.folder / 'x.pth').unlink()
    assert folder_of(tmp_path, seed=1).outcome() is None


def test_run_of_other_inputs_is_moved_aside(tmp_path, capsys):
    for seed in (1, 2, 3):
        run = folder_of(tmp_path, seed=seed, config='same')
        assert run.outcome() is None
        run.finish()
    assert 'of another seed: moved to' in capsys.readouterr().out
    for name, seed in (('run.old1', 1), ('run.old2', 2), ('run', 3)):
        state = json.loads((tmp_path / name / 'run.json').read_text())
        assert state['inputs']['seed'] == seed


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'run').mkdir()
    folder_of(tmp_path)  # an empty one will do
    (tmp_path / 'run' / 'mine.txt').touch()
    with pytest.raises(ConfigError, match=r'run holds files but no run\.json'):
        folder_of(tmp_path)
    (tmp_path / 'run' / 'run.json').write_text('{"inputs": ')
    with pytest.raises(ConfigError, match=r'run\.json is not a JSON file'):
        folder_of(tmp_path)
    assert (tmp_path / 'run' / 'mine.txt').exists()


def test_time_of_an_earlier_attempt_counts_where_it_is_gone_on_with(
    tmp_path, monkeypatch
):
    run = folder_of(tmp_path)
    clock = iter([0.0, 10.0, 20.0, 50.0, 60.0, 65.0])
    monkeypatch.setattr(runs.time, 'perf_counter', lambda: next(clock))
    for resumes, seconds in ((False, 10), (True, 40), (False, 5)):
        with run.attempt(resumes):
            pass
        assert run.finish()['seconds'] == seconds


CONFIG = """
data_root = '{{{{$SOMEWHERE:data}}}}'
work_dir = 'somewhere'
lr = 1  # a comment
data = dict(data_root=data_root, ann_file='people.json', names=['a.txt'])
model = dict(init_cfg=dict(checkpoint='{root}/net.pth'))
"""
NAMED = 'config or file that it names'


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv('SOMEWHERE', str(tmp_path))
    (tmp_path / 'people.json').write_text('[1]')
    (tmp_path / 'net.pth').write_text('weights')
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=tmp_path))
    return path


def test_files_count_by_content(config, tmp_path):
    before = find_inputs(config, {})
    assert list(before) == [NAMED]
    seen = {before[NAMED]}
    for name in ('people.json', 'net.pth'):
        (tmp_path / name).write_text('[2]')
        seen.add(find_inputs(config, {})[NAMED])
    assert len(seen) == 3
    # where they are makes no difference
    settings = [
        {'data': {'data_root': root, 'names': [name]}}
        for root, name in (
            (str(tmp_path), 'people.json'),
            ('', str(tmp_path / 'net.pth')),
        )
    ]
    one, two = (digest_settings(each, ['data_root']) for each in settings)
    assert one == two != digest_settings(settings[0])


def test_settings_count_but_not_how_they_are_written(config):
    before = find_inputs(config, {})
    config.write_text(config.read_text().replace('# a comment', '# another'))
    assert find_inputs(config, {}) == before
    assert find_inputs(config, {'work_dir': 'elsewhere'}) == before
    assert find_inputs(config, {'lr': 2}) != before


def test_weights_are_told_by_content(config, tmp_path):
    for name, text in (('a.pth', 'x'), ('b.pth', 'x'), ('c.pth', 'y')):
        (tmp_path / name).write_text(text)
    first, same, other = (
        find_inputs(config, {'load_from': str(tmp_path / f'{name}.pth')})
        for name in 'abc'
    )
    assert first == same != other
    assert first[NAMED] == other[NAMED] == find_inputs(config, {})[NAMED]
    url = 'https://host/net.pth'
    assert find_inputs(config, {'load_from': url})['load_from'] == url
