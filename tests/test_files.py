import hashlib
import json
import os

import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.files import digest, digest_file, read_json, write_atomically


def test_json_is_read(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"ä": [1, null]}', encoding='utf-8')
    assert read_json(path) == {'ä': [1, None]}
    assert read_json(str(path)) == {'ä': [1, None]}


@pytest.mark.parametrize('content', [b'', b'{"a": ', b'\x80\xff'])
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r'a\.json is not a JSON file'):
        read_json(path)


def test_missing_json_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no file .*none\.json'):
        read_json(tmp_path / 'none.json')


@pytest.mark.parametrize(
    'content', ['äb', 'äb'.encode(), lambda file: file.write('äb'.encode())]
)
def test_text_bytes_and_what_a_function_writes(tmp_path, content):
    path = tmp_path / 'deep' / 'file.txt'
    assert write_atomically(path, 'older') == path
    write_atomically(path, content)
    assert path.read_bytes() == 'äb'.encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'file.txt'
    write_atomically(path, 'old')

    def half(file):
        file.write(b'ne')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, 'new')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path):
    (tmp_path / 'target').write_text('old')
    link = tmp_path / 'link'
    link.symlink_to('target')
    write_atomically(link, 'new')
    assert link.is_symlink()
    assert (tmp_path / 'target').read_text() == 'new'


def test_digests(tmp_path):
    data = json.dumps(list(range(300_000))).encode()  # several blocks
    path = tmp_path / 'file'
    path.write_bytes(data)
    whole = hashlib.sha256(data).hexdigest()
    assert digest_file(path) == digest(data) == whole[:16]
    assert digest(data.decode(), 64) == digest_file(path, 64) == whole
