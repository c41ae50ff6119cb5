import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.box_sources import BoxSource
from rmpe_spm.leaderboard.spec import (
    DataSetSpec,
    ModelSpec,
    listing_of_pairs,
    read_listing,
)

FULL = """
title: Two models
work_dir: there
rank_by: AP50
pictures: false
box_sources: [ground_truth]
data_sets:
  - name: val
    dataset: {ann_file: val.json}
  - name: crowd
    dataset: {type: CrowdPoseDataset, ann_file: crowd.json}
    evaluator: {iou_type: keypoints_crowd}
    rank_by: AP hard
    box_sources:
      - boxes.json
      - {perturbed: scale, size: 1, seed: 3}
models:
  - {name: one, config: a/one.py, checkpoint: one.pth}
  - config: a/two.py
    checkpoint: two.pth
    cfg_options: {model.test_cfg.flip_test: false}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'list.yaml'
        path.write_text(text)
        return path

    return write


def test_reads_all(write):
    listing = read_listing(write(FULL))
    assert listing.title == 'Two models'
    assert (listing.work_dir, listing.rank_by) == ('there', 'AP50')
    assert listing.pictures is False
    assert listing.models == (
        ModelSpec('one', 'a/one.py', 'one.pth'),
        ModelSpec(
            'two', 'a/two.py', 'two.pth', {'model.test_cfg.flip_test': False}
        ),
    )
    ground_truth = (BoxSource('ground_truth'),)
    assert listing.data_sets == (
        DataSetSpec('val', {'ann_file': 'val.json'}, {}, ground_truth),
        DataSetSpec(
            'crowd',
            {'type': 'CrowdPoseDataset', 'ann_file': 'crowd.json'},
            {'iou_type': 'keypoints_crowd'},
            (
                BoxSource('detections', file='boxes.json'),
                BoxSource('perturbed', error='scale', size=1.0, seed=3),
            ),
            'AP hard',
        ),
    )


def test_what_need_not_be_given(write):
    listing = read_listing(
        write('models: [{config: a/one.py, checkpoint: one.pth}]')
    )
    assert listing.models[0].name == 'one'
    assert listing.data_sets == ()
    assert listing.box_sources == (BoxSource('config'),)
    assert (listing.title, listing.rank_by) == ('list', 'AP')
    assert listing.work_dir is None
    assert listing.pictures is True


MODEL = 'models: [{config: c.py, checkpoint: w.pth}]\n'


@pytest.mark.parametrize(
    'text, said',
    [
        ('', 'is empty: it needs a list of models'),
        ('a: [', 'is no YAML'),
        ('- a', 'must have keys (models, '),
        ('title: x', "lacks 'models'"),
        ('models: []', 'models is empty'),
        ('model: []', "unknown key 'model': did you mean models?"),
        ('models: {config: c.py}', 'models must be a list'),
        ('models: [{config: c.py}]', "models[0] lacks 'checkpoint'"),
        (
            'models: [{config: c.py, checkpont: w.pth}]',
            "models[0]: unknown key 'checkpont': did you mean checkpoint?",
        ),
        (
            'models: [{config: c.py, checkpoint: 3}]',
            'models[0]: checkpoint must be text, but is 3',
        ),
        (MODEL + 'pictures: 0', 'pictures must be true or false, but is 0'),
        (MODEL + 'box_sources: []', 'box_sources is empty'),
        (MODEL + 'box_sources: [jitter]', "box_sources[0]: 'jitter' is no"),
        (
            MODEL + 'data_sets: [{name: a, dataset: {}}]',
            "data_sets[0].dataset lacks 'ann_file'",
        ),
        (
            MODEL
            + 'data_sets: [{name: a, dataset: {ann_file: a}, detections: b}]',
            "data_sets[0]: unknown key 'detections'",
        ),
        (
            MODEL + 'box_sources: [config]\n'
            'data_sets: [{name: a, dataset: {ann_file: a}}]',
            "data_sets[0]: the box source config goes with the configs' own",
        ),
        (
            'models: [{config: a/c.py, checkpoint: w.pth}, '
            '{config: b/c.py, checkpoint: w.pth}]',
            "two models are named 'c'",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(write, text, said):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        read_listing(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r'no\.yaml does not exist'):
        read_listing(tmp_path / 'no.yaml')


def test_pairs():
    listing = listing_of_pairs(
        ['a.py', '1.pth', 'b/a.py', '2.pth', 'c.py', '3.pth'],
        ['config', 'shift:0.2'],
    )
    assert [model.name for model in listing.models] == [
        'a (1.pth)',
        'a (2.pth)',
        'c',
    ]
    assert listing.box_sources[1] == BoxSource(
        'perturbed', error='shift', size=0.2
    )
    for wrong in ([], ['a.py'], ['a.py', '1.pth', 'b.py']):
        with pytest.raises(ConfigError, match='each with its checkpoint'):
            listing_of_pairs(wrong, None)
