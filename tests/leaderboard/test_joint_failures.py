"""With several processes: tests/test_tools/test_leaderboard.py."""

import pytest

from rmpe_spm.leaderboard import evaluate as joint_failures
from rmpe_spm.leaderboard.evaluate import (
    first_failure,
    open_side_channel,
    wait_for_all,
)


def test_one_process_waits_for_nobody():
    open_side_channel()
    wait_for_all('')
    wait_for_all('broken')
    assert first_failure('') == ''
    assert first_failure('broken') == 'broken'


@pytest.mark.parametrize(
    'found, expected',
    [
        (['', '', ''], ''),
        (['', 'broken', 'late'], 'process 1: broken'),
        (['broken', '', ''], 'process 0: broken'),
        (['broken', 'broken too', 'and this'], 'broken'),
    ],
)
def test_the_first_failure_is_told(monkeypatch, found, expected):
    monkeypatch.setattr(
        joint_failures, 'all_gather_object', lambda failure: found
    )
    assert first_failure(found[0]) == expected
