import json
from pathlib import Path

import numpy as np
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.entries import apply_box_source
from rmpe_spm.leaderboard.spec import BoxSource
from rmpe_spm.mpii.dataset import GroupAffine


@pytest.fixture
def detections(tmp_path):
    path = tmp_path / 'found.json'
    box = dict(image_id=1, category_id=1, bbox=[3, 3, 30, 40], score=0.9)
    path.write_text(json.dumps([box]))
    return str(path)


def test_what_the_config_has(tiny_config, detections, tmp_path):
    source = BoxSource('config')
    assert (
        apply_box_source(tiny_config, source, tmp_path, True) == 'ground truth'
    )
    dataset = tiny_config.test_dataloader.dataset
    dataset.bbox_file = detections
    dataset.filter_cfg = dict(bbox_score_thr=0.05)
    label = apply_box_source(tiny_config, source, tmp_path, True)
    assert label == 'detections found.json (score >= 0.05)'
    assert dataset.bbox_file == detections


def test_ground_truth_replaces_detections(tiny_config, detections, tmp_path):
    dataset = tiny_config.test_dataloader.dataset
    dataset.bbox_file = detections
    source = BoxSource('ground_truth')
    label = apply_box_source(tiny_config, source, tmp_path, True)
    assert label == 'ground truth'
    assert 'bbox_file' not in dataset


def test_detections(tiny_config, detections, tmp_path):
    source = BoxSource('detections', file=detections, score_thr=0.5)
    label = apply_box_source(tiny_config, source, tmp_path, True)
    assert label == 'detections found.json (score >= 0.5)'
    dataset = tiny_config.test_dataloader.dataset
    assert dataset.bbox_file == detections
    assert dataset.filter_cfg.bbox_score_thr == 0.5
    missing = BoxSource('detections', file='no.json')
    with pytest.raises(FileNotFoundError, match=r'no\.json'):
        apply_box_source(tiny_config, missing, tmp_path, True)


def test_perturbed_boxes_are_files_of_one_seed(tiny_config, tmp_path):
    annotations = tiny_config.test_dataloader.dataset
    annotations = f'{annotations.data_root}/{annotations.ann_file}'
    contents = {}
    for seed in (0, 1, 0):
        cfg = tiny_config.copy()
        source = BoxSource('perturbed', error='shift', size=0.2, seed=seed)
        label = apply_box_source(cfg, source, tmp_path / 'boxes', True)
        assert label == f'ground truth, shift 0.2, seed {seed}'
        text = Path(cfg.test_dataloader.dataset.bbox_file).read_text()
        assert contents.setdefault(seed, text) == text
    assert contents[0] != contents[1]
    people = json.loads(Path(annotations).read_text())['annotations']
    for text in contents.values():
        boxes = json.loads(text)
        assert len(boxes) == len(people) == 8
        for person, box in zip(people, boxes, strict=True):
            x, y, w, h = person['bbox']
            moved = np.array(box['bbox']) - person['bbox']
            np.testing.assert_allclose(moved[2:], 0, atol=1e-9)
            # a shift of 0.2, in units of the box
            length = np.hypot(moved[0] / w, moved[1] / h)
            assert length == pytest.approx(0.2)


def test_amplified_detections(tiny_config, detections, tmp_path):
    source = BoxSource(
        'perturbed', file=detections, error='amplification', size=2.0
    )
    label = apply_box_source(tiny_config, source, tmp_path, True)
    assert label == 'detections found.json, errors x 2'


def test_boxes_of_other_people_are_other_files(tiny_config, tmp_path):
    source = BoxSource('perturbed', error='scale', size=0.1)
    paths = set()
    for settings in ({}, {'data_root': 'elsewhere'}, {'split': 'train'}):
        cfg = tiny_config.copy()
        dataset = cfg.test_dataloader.dataset
        dataset.update(settings)
        apply_box_source(cfg, source, tmp_path, False)
        paths.add(dataset.bbox_file)
    assert len(paths) == 3


def test_single_stage_has_no_boxes(tiny_config, tmp_path):
    dataset = tiny_config.test_dataloader.dataset
    dataset.data_mode = 'bottomup'
    for kind in ('config', 'ground_truth'):
        label = apply_box_source(tiny_config, BoxSource(kind), tmp_path, True)
        assert label == 'none (single stage)'


@pytest.mark.parametrize('kind', ['GroupAffine', GroupAffine])
def test_groups_of_mpii_are_annotated(tiny_config, tmp_path, kind):
    dataset = tiny_config.test_dataloader.dataset
    dataset.data_mode = 'bottomup'
    dataset.pipeline[1] = dict(type=kind, input_size=(48, 64))
    for source in ('config', 'ground_truth'):
        source = BoxSource(source)
        label = apply_box_source(tiny_config, source, tmp_path, True)
        assert label == "group's place and scale (annotated)"


def test_data_sets_within_others(tiny_config, tmp_path):
    inner = tiny_config.test_dataloader.dataset
    tiny_config.test_dataloader.dataset = dict(
        type='CombinedDataset', datasets=[inner]
    )
    apply_box_source(tiny_config, BoxSource('config'), tmp_path, True)
    with pytest.raises(ConfigError, match='CombinedDataset of other data'):
        apply_box_source(
            tiny_config, BoxSource('ground_truth'), tmp_path, True
        )


@pytest.mark.parametrize('content', [b'[]', b'{}', b'\x89HDF'])
def test_errors_need_coco_annotations(tiny_config, tmp_path, content):
    path = tmp_path / 'other.json'
    path.write_bytes(content)
    tiny_config.test_dataloader.dataset.ann_file = str(path)
    source = BoxSource('perturbed', error='scale', size=0.1)
    with pytest.raises(ConfigError, match=r"other\.json.*(JSON|COCO's)"):
        apply_box_source(tiny_config, source, tmp_path, True)
