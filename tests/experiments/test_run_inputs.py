import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments.runs import find_inputs

CONFIG = """
data_root = '{root}'
work_dir = 'somewhere'
lr = 1  # a comment
data = dict(data_root=data_root, ann_file='people.json', names=['a.txt'])
model = dict(init_cfg=dict(checkpoint='{root}/net.pth'))
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'people.json').write_text('[1]')
    (tmp_path / 'net.pth').write_text('weights')
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=tmp_path))
    return path


def test_files_are_found_and_told_by_content(config, tmp_path):
    before = find_inputs(config, {})
    assert set(before) == {
        'config',
        f'{tmp_path}/people.json',
        f'{tmp_path}/net.pth',
    }
    (tmp_path / 'people.json').write_text('[2]')
    after = find_inputs(config, {})
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {f'{tmp_path}/people.json'}


def test_files_are_found_below_a_root_without_slash(
    config, tmp_path, monkeypatch
):
    """As an environment variable may give it."""
    monkeypatch.setenv('SOMEWHERE', str(tmp_path))
    config.write_text(
        "data_root = '{{$SOMEWHERE:data/}}'\n"
        "evaluator = dict(ann_file=data_root + 'people.json')\n"
    )
    assert set(find_inputs(config, {})) == {
        'config',
        f'{tmp_path}/people.json',
    }


def test_settings_count_but_not_how_they_are_written(config):
    before = find_inputs(config, {})
    config.write_text(config.read_text().replace('# a comment', '# another'))
    assert find_inputs(config, {}) == before
    assert find_inputs(config, {'work_dir': 'elsewhere'}) == before
    assert find_inputs(config, {'lr': 2})['config'] != before['config']


def test_weights_are_told_by_content(config, tmp_path):
    for name, text in (('a.pth', 'x'), ('b.pth', 'x'), ('c.pth', 'y')):
        (tmp_path / name).write_text(text)
    first, same, other = (
        find_inputs(config, {'load_from': str(tmp_path / f'{name}.pth')})
        for name in 'abc'
    )
    assert first == same != other
    assert (
        first['config'] == other['config'] == find_inputs(config, {})['config']
    )
    url = 'https://host/net.pth'
    assert find_inputs(config, {'load_from': url})['load_from'] == url


def test_missing_config_is_told():
    with pytest.raises(ConfigError, match=r'no\.py does not exist'):
        find_inputs('no.py', {})
