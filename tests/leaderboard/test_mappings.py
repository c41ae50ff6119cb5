import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.box_sources import check_keys, take


@pytest.mark.parametrize(
    'entry, said',
    [
        ({'confg': 1}, "here: unknown key 'confg': did you mean config?"),
        ({'zzz': 1}, "here: unknown key 'zzz': the keys are config, name"),
        ({1: 1}, 'here: unknown key 1: '),
        (['config'], 'here must have keys (config, name), but is'),
        (None, 'here must have keys'),
    ],
)
def test_what_nothing_uses_is_refused(entry, said):
    check_keys({'config': 1}, ('config', 'name'), 'here')
    with pytest.raises(ConfigError) as caught:
        check_keys(entry, ('config', 'name'), 'here')
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    'value, kind, expected',
    [('a', str, 'a'), (2, int, 2), (2, float, 2.0), ([1], list, [1])],
)
def test_values_of_the_right_kind(value, kind, expected):
    taken = take({'key': value}, 'key', kind, 'here')
    assert taken == expected
    assert type(taken) is kind


@pytest.mark.parametrize(
    'value, kind, said',
    [
        (2, str, 'here: key must be text, but is 2'),
        (2.5, int, 'here: key must be a whole number, but is 2.5'),
        (True, int, 'here: key must be a whole number, but is True'),
        ('2', float, "here: key must be a number, but is '2'"),
        (None, list, 'here: key must be a list, but is None'),
    ],
)
def test_values_of_another_kind(value, kind, said):
    with pytest.raises(ConfigError) as caught:
        take({'key': value}, 'key', kind, 'here')
    assert str(caught.value) == said


def test_missing_keys():
    assert take({}, 'key', str, 'here', None) is None
    with pytest.raises(ConfigError, match="here lacks 'key'"):
        take({}, 'key', str, 'here')
