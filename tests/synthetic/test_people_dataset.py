import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from xtcocotools.coco import COCO

from rmpe_spm.errors import ConfigError
from rmpe_spm.files import write_atomically
from rmpe_spm.synthetic import people_dataset
from rmpe_spm.synthetic.people_dataset import (
    generate_dataset,
    generate_sample,
    usable_cores,
)

SIZE = (160, 120)


def generate(root, **arguments):
    defaults = dict(
        num_train=20, num_val=6, seed=3, size=SIZE, workers=1, progress=False
    )
    return generate_dataset(root, **{**defaults, **arguments})


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return generate(tmp_path_factory.mktemp('data') / 'people')


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def test_layout_is_cocos(dataset):
    for split, count in (('train', 20), ('val', 6)):
        coco = COCO(dataset / f'annotations/person_keypoints_{split}2017.json')
        assert len(coco.getImgIds()) == count
        for info in coco.loadImgs(coco.getImgIds()):
            path = dataset / f'{split}2017' / info['file_name']
            image = cv2.imread(str(path))
            assert image.shape == (info['height'], info['width'], 3)
        for ann in coco.loadAnns(coco.getAnnIds()):
            points = np.reshape(ann['keypoints'], (17, 3))
            labelled = points[:, 2] > 0
            assert ann['num_keypoints'] == labelled.sum()
            assert not points[~labelled].any()
            assert (points[labelled, :2] >= 0).all()
            assert (points[labelled, :2] <= np.array(SIZE) - 1).all()
            coco.annToMask(ann)
        category = coco.loadCats(1)[0]
        assert category['keypoints'][5] == 'left_shoulder'
        path = dataset / f'detections/{split}2017_person_detections.json'
        detections = json.loads(path.read_text())
        assert {d['image_id'] for d in detections} <= set(coco.getImgIds())


def test_workers_do_not_change_a_byte(dataset, tmp_path):
    other = generate(tmp_path / 'parallel', workers=2)
    assert contents(other) == contents(dataset)


def test_workers_after_opencv_has_had_threads(tmp_path):
    """Threads do not survive a fork; the workers waited for them."""
    script = (
        'import sys, cv2, numpy\n'
        'from rmpe_spm.synthetic.people_dataset import generate_dataset\n'
        'cv2.setNumThreads(4)\n'
        'cv2.GaussianBlur(numpy.zeros((1500, 1500, 3), "u1"), (31, 31), 9)\n'
        'generate_dataset(\n'
        '    sys.argv[1], num_train=17, num_val=0, size=(320, 240),\n'
        '    workers=2, progress=False)\n'
        'assert cv2.getNumThreads() == 4\n'
    )
    command = [sys.executable, '-c', script, str(tmp_path / 'data')]
    subprocess.run(command, check=True, timeout=120)
    assert (tmp_path / 'data' / 'generator.json').is_file()


def test_a_larger_set_begins_with_the_smaller(dataset, tmp_path):
    larger = generate(tmp_path / 'larger', num_train=22, num_val=0)
    small, large = contents(dataset), contents(larger)
    for name in small:
        if name.startswith('train2017/'):
            assert large[name] == small[name]


def test_splits_and_seeds_differ():
    first, *others = (
        generate_sample(*each, SIZE)[0]
        for each in (
            ('train', 1, 3),
            ('val', 1, 3),
            ('train', 2, 3),
            ('train', 1, 4),
        )
    )
    for picture in others:
        assert (picture != first).mean() > 0.3


def test_a_finished_set_is_left_alone(dataset):
    path = dataset / 'train2017' / '000000000001.jpg'
    before = path.stat().st_mtime_ns
    generate(dataset)
    assert path.stat().st_mtime_ns == before


def test_an_interruption_leaves_nothing(dataset, tmp_path, monkeypatch):
    root = tmp_path / 'data'

    def stop(path, content):
        if 'val2017' in str(path):
            raise KeyboardInterrupt
        return write_atomically(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(people_dataset, 'write_atomically', stop)
        with pytest.raises(KeyboardInterrupt):
            generate(root)
    assert list(tmp_path.iterdir()) == []
    assert contents(generate(root)) == contents(dataset)


def test_an_empty_folder_behind_a_link_will_do(dataset, tmp_path):
    """On a larger disk, say."""
    (tmp_path / 'disk').mkdir()
    root = tmp_path / 'data'
    root.symlink_to(tmp_path / 'disk')
    assert generate(root) == root
    assert contents(tmp_path / 'disk') == contents(dataset)


@pytest.mark.parametrize(
    'name, content',
    [
        ('thesis.tex', 'years of work'),
        ('generator.json', '{}'),
        ('generator.json', '[1'),
        ('annotations/person_keypoints_train2017.json', 'COCO 2017 Dataset'),
        ('train2017/000000000139.jpg', 'a photograph'),
    ],
)
def test_what_is_there_is_safe(tmp_path, name, content):
    path = tmp_path / 'data' / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ConfigError, match=f'holds .*{name.split("/")[0]}'):
        generate(tmp_path / 'data')
    assert path.read_text() == content
    assert len(contents(tmp_path)) == 1


def test_another_set_does_not_take_its_place(dataset):
    before = contents(dataset)
    with pytest.raises(ConfigError, match='something other than the data'):
        generate(dataset, seed=1)
    assert contents(dataset) == before


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_train=-1), 'must not be negative'),
        (dict(size=(32, 32)), 'at least'),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / 'x', **arguments)


def test_what_the_process_may_use_counts(monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 128)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {3, 7}, False)
    assert usable_cores() == 2
    monkeypatch.delattr(os, 'sched_getaffinity')
    assert usable_cores() == 128
