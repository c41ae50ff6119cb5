"""JSON that is read, files that are written as a whole, and tables."""

import hashlib
import json
import os

import pytest

from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.evaluation import evaluate_files
from rmpe_spm.coco.results import read_detections
from rmpe_spm.errors import ConfigError
from rmpe_spm.files import digest, digest_file, read_json, write_atomically
from rmpe_spm.markdown import markdown_table, over_seeds
from rmpe_spm.mpii.readers import read_mpii
from rmpe_spm.pose_nms.rule import load_rule
from rmpe_spm.rmpe.pgpg_model import load_proposal_model


def test_json_is_read(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"ä": [1, null]}', encoding='utf-8')
    assert read_json(path) == {'ä': [1, None]}
    assert read_json(str(path)) == {'ä': [1, None]}


def evaluate(path):
    """Evaluate a file of results on a person of one joint."""
    people = path.with_name('people.json')
    person = dict(id=1, image_id=1, category_id=1, iscrowd=0, area=4.0)
    person.update(bbox=[1, 1, 2, 2], keypoints=[2, 2, 2], num_keypoints=1)
    content = dict(
        images=[dict(id=1, file_name='a.jpg', width=9, height=9)],
        annotations=[person],
        categories=[dict(id=1, name='person', keypoints=['nose'])],
    )
    people.write_text(json.dumps(content))
    return evaluate_files(people, path, [0.1])


@pytest.mark.parametrize(
    'read',
    [
        read_json,
        KeypointAnnotations.read,
        read_detections,
        load_rule,
        load_proposal_model,
        read_mpii,
        evaluate,
    ],
)
@pytest.mark.parametrize(
    'content', [b'', b'{"a": ', b'\x80\xff', b'[' * 100_000]
)
def test_damaged_json_is_named(tmp_path, content, read):
    """Brackets in brackets too, whichever kind of file it is to be."""
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r'a\.json is not a JSON file'):
        read(path)


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


def test_table():
    rows = [['x', 1], ['two\n lines', None], ['<script>', '']]
    assert markdown_table(['a', 'b|c'], rows) == (
        '| a | b\\|c |\n| --- | --- |\n| x | 1 |\n| two lines | None |\n'
        '| \\<script> |  |\n'
    )


def test_over_seeds():
    assert over_seeds([0.5]) == '0.500'
    assert over_seeds([0.2, 0.4]) == '0.300 ± 0.141'
    assert over_seeds([0.1, 0.3], '+.2f') == '+0.20 ± 0.14'
