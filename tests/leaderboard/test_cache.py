import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from rmpe_spm.leaderboard.cache import (
    RECORD,
    ResultCache,
    jsonable,
    write_atomically,
)


def test_there_and_back(tmp_path, make_row):
    cache = ResultCache(tmp_path / 'runs')
    record = make_row().record
    assert cache.find('key') is None
    cache.clear('key')
    assert cache.find('key') is None  # a folder alone is no result
    cache.keep('key', record)
    assert cache.find('key') == record
    assert [path.name for path in cache.folder('key').iterdir()] == [RECORD]


def test_clearing_takes_the_result_away(tmp_path, make_row):
    cache = ResultCache(tmp_path)
    cache.clear('key')
    cache.keep('key', make_row().record)
    folder = cache.clear('key')
    assert cache.find('key') is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize('error', [None, KeyboardInterrupt])
def test_an_attempt_that_ends_leaves_no_note(tmp_path, error):
    cache = ResultCache(tmp_path)
    cache.clear('key')
    assert cache.unfinished('key') == ''
    assert cache.last_attempt('key') == 0
    expected = pytest.raises(error) if error else nullcontext()
    with expected, cache.attempt('key'):
        assert cache.unfinished('key') == 'no reason was written'
        assert abs(cache.last_attempt('key') - time.time()) < 60
        cache.note('key', 'out of memory')
        cache.note('key', 'connection lost')
        assert ResultCache(tmp_path).unfinished('key') == 'out of memory'
        if error:
            raise error
    assert cache.unfinished('key') == ''
    assert list(cache.folder('key').iterdir()) == []


def test_an_error_that_nobody_handles_is_the_note(tmp_path):
    cache = ResultCache(tmp_path)
    cache.clear('key')
    with pytest.raises(OSError), cache.attempt('key'):
        raise OSError('no space left')
    assert cache.unfinished('key') == 'OSError: no space left'


@pytest.mark.parametrize('text', ['', '{"metrics": ', '{"metrics": {}}', '[]'])
def test_damaged_record_is_none(tmp_path, text):
    cache = ResultCache(tmp_path)
    (cache.clear('key') / RECORD).write_text(text)
    assert cache.find('key') is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'deep' / 'file.txt'
    write_atomically(path, 'äb')
    assert path.read_bytes() == 'äb'.encode()
    write_atomically(path, b'new')
    assert path.read_bytes() == b'new'

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('pathlib.Path.replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b'newer')
    assert path.read_bytes() == b'new'
    assert list(path.parent.iterdir()) == [path]


def test_plain_numbers():
    values = dict(a=np.float32(0.5), b=torch.tensor(2), c='text', d=[1], e=1)
    assert jsonable(values) == dict(a=0.5, b=2.0, e=1.0)
