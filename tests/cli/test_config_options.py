import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmpe_spm.cli.arguments import OptionAction, as_arguments
from rmpe_spm.errors import ConfigError


def parse(*settings):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
    return parser.parse_args(['--cfg-options', *settings]).cfg_options


@pytest.mark.parametrize(
    'text, value',
    [
        ('3', 3),
        ('1e-3', 0.001),
        ('True', True),
        ('None', None),
        ('a,b', ['a', 'b']),
        ('[(1,2),(3,4)]', [(1, 2), (3, 4)]),
        ('"[3, 4]"', [3, 4]),
        ("'plain'", 'plain'),
        ('path=with=signs', 'path=with=signs'),
        ("'a','b'", ['a', 'b']),
        ('"a", "b"', ['a', 'b']),
        (' 0.5', 0.5),
        ('True ', True),
        ('None ', None),
        # unlike mmengine, which drops the blanks
        ('my runs/a.pth', 'my runs/a.pth'),
        ("'my runs, 2/a.pth'", 'my runs, 2/a.pth'),
        ('"it\'s, here"', "it's, here"),
    ],
)
def test_values(text, value):
    assert parse(f'key={text}', 'other=1') == dict(key=value, other=1)


@pytest.mark.parametrize(
    'value',
    [
        2,
        -0.5,
        False,
        None,
        'work_dirs/a',
        '/home/me/my runs/epoch_8.pth',
        '/home/me/a,b/results',
        "it's",
        "it's here, too",
        '"it\'s", here',
        '[a',
        Path('my runs'),
        ['a', 'b'],
        [1, [2, 3]],
        [],
    ],
)
def test_there_and_back(value):
    known = str(value) if isinstance(value, Path) else value
    assert parse(*as_arguments({'a.b': value})) == {'a.b': known}


@given(st.text(st.sampled_from('ab ,=/.[]()\'"1'), min_size=1))
def test_text_comes_back_or_is_refused(text):
    try:
        settings = as_arguments({'key': text})
    except ConfigError as error:
        assert 'key: ' in str(error)
    else:
        assert parse(*settings) == {'key': text}


def test_a_path_without_quotes_always_comes_back():
    for text in ('a b', ' a', 'a,b', 'a, b', '(a) b', 'a [1], b'):
        assert parse(*as_arguments({'key': text})) == {'key': text}


@pytest.mark.parametrize(
    'value', [dict(type='SyncBN'), dict(a=1, b=2), ['a b'], '3', '[a]']
)
def test_what_cannot_be_handed_on_is_refused(value):
    with pytest.raises(ConfigError, match=r'model\.norm: .*into the config'):
        as_arguments({'model.norm': value})
