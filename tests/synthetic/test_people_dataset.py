import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from xtcocotools.coco import COCO

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
            image = cv2.imread(str(dataset / f'{split}2017'
                                   / info['file_name']))  # fmt: skip
            assert image.shape == (info['height'], info['width'], 3)
        for ann in coco.loadAnns(coco.getAnnIds()):
            flags = ann['keypoints'][2::3]
            assert ann['num_keypoints'] == sum(f > 0 for f in flags)
            points = np.reshape(ann['keypoints'], (17, 3))
            assert not points[points[:, 2] == 0].any()
            labelled = points[points[:, 2] > 0, :2]
            assert (labelled >= 0).all()
            assert (labelled <= np.array(SIZE) - 1).all()
            coco.annToMask(ann)
        category = coco.loadCats(1)[0]
        assert category['keypoints'][5] == 'left_shoulder'
        detections = json.loads(
            (dataset / f'detections/{split}2017_person_detections.json')
            .read_text()
        )  # fmt: skip
        assert {d['image_id'] for d in detections} <= set(coco.getImgIds())


def test_mmpose_reads_it(dataset):
    from mmpose.datasets import CocoDataset

    for mode in ('topdown', 'bottomup'):
        data = CocoDataset(
            data_root=str(dataset),
            ann_file='annotations/person_keypoints_train2017.json',
            data_prefix=dict(img='train2017/'),
            data_mode=mode,
        )
        assert len(data) > 10


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
        '    sys.argv[1], num_train=20, num_val=0, size=(640, 480),\n'
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
    pictures = [
        generate_sample(split, number, seed, SIZE)[0]
        for split, number, seed in (
            ('train', 1, 3), ('val', 1, 3), ('train', 2, 3), ('train', 1, 4),
        )
    ]  # fmt: skip
    for picture in pictures[1:]:
        assert (picture != pictures[0]).mean() > 0.3


def test_a_finished_set_is_left_alone(dataset):
    stamp = (dataset / 'train2017' / '000000000001.jpg').stat().st_mtime_ns
    generate(dataset)
    again = (dataset / 'train2017' / '000000000001.jpg').stat().st_mtime_ns
    assert again == stamp


def test_an_unfinished_set_is_made_anew(dataset, tmp_path):
    root = generate(tmp_path / 'data')
    (root / 'generator.json').rename(root / '.unfinished')
    (root / 'train2017' / '000000000001.jpg').write_bytes(b'broken')
    (root / 'train2017' / '000000000099.jpg').write_bytes(b'left over')
    generate(root)
    assert contents(root) == contents(dataset)


def test_a_set_that_lacks_a_picture_is_made_anew(dataset, tmp_path):
    root = generate(tmp_path / 'data')
    (root / 'val2017' / '000000000003.jpg').unlink()
    generate(root)
    assert contents(root) == contents(dataset)


@pytest.mark.parametrize('name', ['thesis.tex', 'generator.json'])
def test_foreign_files_are_safe(tmp_path, name):
    (tmp_path / name).write_text('years of work')
    with pytest.raises(ValueError, match=name):
        generate(tmp_path)
    assert (tmp_path / name).read_text() == 'years of work'


@pytest.mark.parametrize(
    'name',
    [
        'annotations/person_keypoints_train2017.json',
        'annotations/instances_val2017.json',
        'train2017/000000000139.jpg',
    ],
)
@pytest.mark.parametrize('record', [None, '{}', '[1', '{"format": "mine"}'])
def test_a_real_coco_folder_is_safe(tmp_path, name, record):
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text('{"info": {"description": "COCO 2017 Dataset"}}')
    if record is not None:
        (tmp_path / 'generator.json').write_text(record)
    with pytest.raises(ValueError, match=f'did not write .*{path.name}'):
        generate(tmp_path)
    assert path.exists()


def test_an_empty_folder_behind_a_link_will_do(dataset, tmp_path):
    """On a larger disk, say."""
    (tmp_path / 'disk').mkdir()
    root = tmp_path / 'data'
    root.mkdir()
    (root / 'train2017').symlink_to(tmp_path / 'disk')
    generate(root)
    assert len(list((tmp_path / 'disk').iterdir())) == 20


def test_data_behind_links_are_safe(tmp_path):
    real, root = tmp_path / 'coco', tmp_path / 'data'
    root.mkdir()
    name = 'train2017/000000000001.jpg'
    (real / name).parent.mkdir(parents=True)
    (real / name).write_text('a photograph')
    (root / 'train2017').symlink_to(real / 'train2017')
    for record in (False, True):
        if record:
            (root / '.unfinished').touch()
        with pytest.raises(ValueError, match='did not write .train2017'):
            generate(root)
        assert (real / name).read_text() == 'a photograph'


@pytest.mark.parametrize(
    'name',
    [
        'detections/my_yolox.json',
        'annotations/person_keypoints_val2017_fixed.json',
        'train2017/1.txt',
        'val2017/notes/why.txt',
    ],
)
def test_own_files_within_a_set_are_safe(dataset, tmp_path, name):
    """Another set does not take its place with them in it."""
    root = shutil.copytree(dataset, tmp_path / 'copy')
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text('hours of work')
    generate(root)  # the same set: nothing is written
    before = contents(root)
    with pytest.raises(ValueError, match=f'did not write .{name}'):
        generate(root, seed=1)
    assert contents(root) == before
    (root / name).unlink()
    assert contents(generate(root, seed=1)) != before


def test_an_interrupted_removal_goes_on(dataset, tmp_path, monkeypatch):
    root = shutil.copytree(dataset, tmp_path / 'copy')
    unlink, count = Path.unlink, iter(range(5))

    def stop(path, **kwargs):
        if next(count, None) is None:
            raise KeyboardInterrupt
        unlink(path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'unlink', stop)
        with pytest.raises(KeyboardInterrupt):
            generate(root, seed=1)
    assert not (root / 'generator.json').exists()
    assert list(root.glob('*/*.jpg'))
    generate(root)
    assert contents(root) == contents(dataset)


@pytest.mark.parametrize(
    'name',
    [
        'annotations/person_keypoints_val2017.json',
        'detections/train2017_person_detections.json',
    ],
)
def test_a_set_that_lacks_a_file_is_made_anew(dataset, tmp_path, name):
    root = shutil.copytree(dataset, tmp_path / 'copy')
    (root / name).unlink()
    generate(root)
    assert contents(root) == contents(dataset)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_train=-1), 'must not be negative'),
        (dict(size=(32, 32)), 'at least'),
        (dict(workers=-2), 'workers must be at least 1, got -2'),
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


@pytest.mark.skipif(
    not hasattr(os, 'sched_setaffinity'), reason='not on this system'
)
def test_a_process_bound_to_a_core():
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, cores)
