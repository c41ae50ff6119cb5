import json
from pathlib import Path

import numpy as np
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.entries import apply_box_source
from rmpe_spm.leaderboard.spec import BoxSource
from rmpe_spm.mpii.dataset import GroupAffine

CONFIG, TRUTH = BoxSource('config'), BoxSource('ground_truth')
SCALED = BoxSource('perturbed', error='scale', size=0.1)


@pytest.fixture
def detections(tmp_path):
    path = tmp_path / 'found.json'
    box = dict(image_id=1, category_id=1, bbox=[3, 3, 30, 40], score=0.9)
    path.write_text(json.dumps([box]))
    return str(path)


@pytest.fixture
def apply(tiny_config, tmp_path):
    """Apply a source to the test's data set; what it is called."""

    def apply(source, cfg=tiny_config):
        return apply_box_source(cfg, source, tmp_path / 'boxes')

    return apply


def test_what_the_config_has(apply, tiny_config, detections):
    assert apply(CONFIG) == 'ground truth'
    dataset = tiny_config.test_dataloader.dataset
    dataset.update(bbox_file=detections, filter_cfg=dict(bbox_score_thr=0.05))
    assert apply(CONFIG) == 'detections found.json (score >= 0.05)'
    assert dataset.bbox_file == detections
    assert apply(TRUTH) == 'ground truth'
    assert 'bbox_file' not in dataset


def test_detections(apply, tiny_config, detections):
    source = BoxSource('detections', file=detections, score_thr=0.5)
    assert apply(source) == 'detections found.json (score >= 0.5)'
    dataset = tiny_config.test_dataloader.dataset
    assert dataset.bbox_file == detections
    assert dataset.filter_cfg.bbox_score_thr == 0.5
    source = BoxSource('perturbed', detections, None, 'amplification', 2.0)
    label = 'detections found.json (score >= 0.5), errors x 2'
    assert apply(source) == label
    with pytest.raises(FileNotFoundError, match=r'no\.json'):
        apply(BoxSource('detections', file='no.json'))


def test_perturbed_boxes_are_files_of_one_seed(apply, tiny_config, tiny_coco):
    contents = {}
    for seed in (0, 1, 0):
        cfg = tiny_config.copy()
        source = BoxSource('perturbed', error='shift', size=0.2, seed=seed)
        assert apply(source, cfg) == f'ground truth, shift 0.2, seed {seed}'
        text = Path(cfg.test_dataloader.dataset.bbox_file).read_text()
        assert contents.setdefault(seed, text) == text
    assert contents[0] != contents[1]
    people = json.loads((tiny_coco / 'annotations.json').read_text())
    truth = np.array([each['bbox'] for each in people['annotations']])
    for text in contents.values():
        boxes = np.array([each['bbox'] for each in json.loads(text)])
        moved = boxes - truth
        np.testing.assert_allclose(moved[:, 2:], 0, atol=1e-9)
        # a shift of 0.2, in units of the box
        lengths = np.hypot(*(moved[:, :2] / truth[:, 2:]).T)
        np.testing.assert_allclose(lengths, 0.2)


def test_boxes_of_other_people_are_other_files(
    apply, tiny_config, tiny_coco, tmp_path
):
    people = json.loads((tiny_coco / 'annotations.json').read_text())
    people['annotations'][0]['bbox'][0] += 1
    (tmp_path / 'annotations.json').write_text(json.dumps(people))
    paths = []
    for root in (tiny_coco, tmp_path, tiny_coco):
        cfg = tiny_config.copy()
        cfg.test_dataloader.dataset.data_root = str(root)
        apply(SCALED, cfg)
        paths.append(cfg.test_dataloader.dataset.bbox_file)
    assert paths[0] == paths[2] != paths[1]


@pytest.mark.parametrize('source', [CONFIG, TRUTH])
@pytest.mark.parametrize(
    'step, label',
    [
        ('TopdownAffine', 'none (single stage)'),
        ('GroupAffine', "group's place and scale (annotated)"),
        (GroupAffine, "group's place and scale (annotated)"),
    ],
)
def test_single_stage_and_groups_of_mpii(
    apply, tiny_config, source, step, label
):
    dataset = tiny_config.test_dataloader.dataset
    dataset.data_mode = 'bottomup'
    dataset.pipeline[1] = dict(type=step, input_size=(48, 64))
    assert apply(source) == label


def test_data_sets_within_others(apply, tiny_config):
    inner = tiny_config.test_dataloader.dataset
    tiny_config.test_dataloader.dataset = dict(
        type='CombinedDataset', datasets=[inner]
    )
    apply(CONFIG)
    with pytest.raises(ConfigError, match='CombinedDataset of other data'):
        apply(TRUTH)


@pytest.mark.parametrize('content', [b'[]', b'{}', b'\x89HDF'])
def test_errors_need_coco_annotations(apply, tiny_config, tmp_path, content):
    path = tmp_path / 'other.json'
    path.write_bytes(content)
    tiny_config.test_dataloader.dataset.ann_file = str(path)
    with pytest.raises(ConfigError, match=r"other\.json.*(JSON|COCO's)"):
        apply(SCALED)
