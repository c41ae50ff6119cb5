import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.entries import apply_box_source, list_entries
from rmpe_spm.leaderboard.spec import (
    BoxSource,
    DataSetSpec,
    LeaderboardSpec,
    ModelSpec,
)
from rmpe_spm.mpii.dataset import GroupAffine

CONFIG, TRUTH = BoxSource('config'), BoxSource('ground_truth')
SCALED = BoxSource('perturbed', error='scale', size=0.1)


def test_every_model_on_every_data_set_with_every_source():
    models = (ModelSpec('a', 'a.py', 'a'), ModelSpec('b', 'b.py', 'b'))
    sources = (BoxSource('ground_truth'), BoxSource('detections', 'x.json'))
    own = list_entries(LeaderboardSpec(models, box_sources=sources))
    assert [(e.model.name, e.data_set, e.box_source) for e in own] == [
        (name, None, source) for name in 'ab' for source in sources
    ]
    one = DataSetSpec('one', {}, {}, sources[:1])
    two = DataSetSpec('two', {}, {}, sources)
    entries = list_entries(LeaderboardSpec(models, (one, two)))
    assert [e.data_set.name for e in entries] == ['one', 'two', 'two'] * 2


def test_prepared_config(write_model, identified, easy_annotations, run_args):
    """Its model's options win over those of the command line."""
    config, weights = write_model()
    name = 'model.test_cfg.flip_test'
    run_args.cfg_options = {name: True, 'test_dataloader.batch_size': 3}
    prepared = identified(config, weights, **{name: False})
    assert prepared.cfg.load_from == weights
    assert prepared.cfg.model.test_cfg.flip_test is False
    assert prepared.cfg.test_dataloader.batch_size == 3
    assert (prepared.data_set, prepared.boxes) == ('easy', 'ground truth')
    sha256 = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    assert prepared.checkpoint_sha256 == sha256
    (evaluator,) = prepared.cfg.test_evaluator
    assert evaluator.ann_file == str(easy_annotations)


def test_key_depends_on_what_a_result_depends_on(
    write_model, identified, easy_annotations, run_args
):
    config, weights = write_model()
    first = identified(config, weights)
    assert identified(config, weights).key == first.key
    others = [
        identified(config, weights, **{'model.test_cfg.flip_test': True}),
        identified(config, weights, **{'test_evaluator.nms_thr': 0.5}),
        identified(config, weights, source=BoxSource('ground_truth')),
        *[
            identified(
                config,
                weights,
                source=BoxSource('perturbed', error='shift', size=s, seed=n),
            )
            for s, n in ((0.1, 0), (0.1, 1), (0.2, 0))
        ],
    ]
    run_args.cfg_options = {'test_dataloader.batch_size': 2}
    others.append(identified(config, weights))
    run_args.cfg_options = None
    torch.save({'state_dict': {}}, weights)
    others.append(identified(config, weights))
    content = json.loads(easy_annotations.read_text())
    content['annotations'][0]['area'] += 1
    easy_annotations.write_text(json.dumps(content))
    others.append(identified(config, weights))
    keys = [first.key, *(each.key for each in others)]
    # the annotated boxes are what the config uses
    assert keys[3] == keys[0]
    assert len(set(keys)) == len(keys) - 1
    assert others[-1].data_key != first.data_key
    assert all(each.data_key == first.data_key for each in others[:-1])


def test_key_does_not_depend_on_places_and_training(
    write_model, identified, easy_annotations, tmp_path
):
    config, weights = write_model()
    key = identified(config, weights).key
    options = {
        'work_dir': 'elsewhere',
        'optim_wrapper.optimizer.lr': 1.0,
        'test_dataloader.num_workers': 3,
        'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='x'),
    }
    assert identified(config, weights, **options).key == key
    moved = [
        shutil.copy(path, tmp_path / f'moved_{Path(path).name}')
        for path in (config, weights, easy_annotations)
    ]
    options = {
        'test_dataloader.dataset.ann_file': str(moved[2]),
        'test_evaluator.ann_file': str(moved[2]),
    }
    again = identified(str(moved[0]), str(moved[1]), **options)
    assert again.key == key


@pytest.fixture
def mpii_key(write_model, identified, tmp_path):
    """The data key of an evaluation on MPII."""
    config, weights = write_model()

    def make(metric=None, **dataset):
        settings = dict(
            type='MpiiMultiPersonDataset',
            data_root=str(tmp_path),
            ann_file='mpii.json',
            **dataset,
        )
        evaluator = dict(type='MpiiMultiPersonAP', **(metric or {}))
        spec = DataSetSpec('MPII', settings, evaluator, ())
        return identified(config, weights, spec).data_key

    return make


def test_protocols_of_mpii_do_not_compare(mpii_key, tmp_path):
    for name in ('one', 'two'):
        (tmp_path / f'{name}.json').write_text(name)
    keys = [
        mpii_key(),
        mpii_key(protocol='group'),
        mpii_key(protocol='group', group_file='one.json'),
        mpii_key(protocol='group', group_file='two.json'),
        mpii_key(split='train'),
        mpii_key(num_keypoints=14),
        mpii_key(min_people=2),
        mpii_key(headbox_file='one.json'),
        mpii_key({'thr': 0.2}),
        mpii_key({'unannotated': 'ignore'}),
        mpii_key({'empty_units': 'toolkit'}),
    ]
    assert len(set(keys)) == len(keys)


def test_written_defaults_and_the_models_nms_compare(mpii_key):
    same = dict(protocol='image', group_file=None, min_people=1)
    same['sample_interval'] = 1
    assert mpii_key(**same) == mpii_key()
    nms = dict(type='ParametricPoseNMS', preset='mpii')
    assert mpii_key({'nms': nms, 'score_mode': 'bbox'}) == mpii_key()


def test_data_set_of_the_list(write_model, identified, tiny_coco):
    config, weights = write_model(
        **{'test_dataloader.dataset.bbox_file': 'boxes.json'}
    )
    dataset = dict(data_root=str(tiny_coco), ann_file='annotations.json')
    spec = DataSetSpec('noise', dataset, {'use_area': False}, ())
    source = BoxSource('ground_truth')
    prepared = identified(config, weights, spec, source)
    assert prepared.data_set == 'noise'
    changed = prepared.cfg.test_dataloader.dataset
    assert 'bbox_file' not in changed
    assert changed.ann_file == 'annotations.json'
    assert changed.pipeline  # the model's
    evaluator = prepared.cfg.test_evaluator[0]
    assert evaluator.type == 'CocoMetric'
    assert evaluator.ann_file == str(tiny_coco / 'annotations.json')
    assert evaluator.use_area is False
    replaced = DataSetSpec('noise', dataset, {'type': 'PCKAccuracy'}, ())
    prepared = identified(config, weights, replaced, source)
    assert prepared.cfg.test_evaluator == [dict(type='PCKAccuracy')]


def test_a_config_without_a_test_is_refused(identified, tmp_path):
    training = tmp_path / 'training.py'
    training.write_text("model = dict(type='X')")
    with pytest.raises(ConfigError, match='has no test_dataloader'):
        identified(str(training), 'w.pth')


@pytest.fixture
def apply(tiny_config, tmp_path):
    """Apply a source to the test's data set; what it is called."""

    def apply(source, cfg=tiny_config):
        return apply_box_source(cfg, source, tmp_path / 'boxes')

    return apply


def test_what_the_config_has(apply, tiny_config, tiny_detections):
    assert apply(CONFIG) == 'ground truth'
    dataset = tiny_config.test_dataloader.dataset
    file, filters = str(tiny_detections), dict(bbox_score_thr=0.05)
    dataset.update(bbox_file=file, filter_cfg=filters)
    assert apply(CONFIG) == 'detections detections.json (score >= 0.05)'
    assert dataset.bbox_file == file
    assert apply(TRUTH) == 'ground truth'
    assert 'bbox_file' not in dataset


def test_detections(apply, tiny_config, tiny_detections):
    file, label = str(tiny_detections), 'detections detections.json'
    source = BoxSource('detections', file=file, score_thr=0.5)
    assert apply(source) == f'{label} (score >= 0.5)'
    dataset = tiny_config.test_dataloader.dataset
    assert dataset.bbox_file == file
    assert dataset.filter_cfg.bbox_score_thr == 0.5
    source = BoxSource('perturbed', file, None, 'amplification', 2.0)
    assert apply(source) == f'{label} (score >= 0.5), errors x 2'
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
