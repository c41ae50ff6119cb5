import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.leaderboard.spec import (
    BoxSource,
    DataSetSpec,
    ModelSpec,
    PublishedSpec,
    ResultsSpec,
    parse_box_source,
    read_spec,
    spec_of_pairs,
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
results:
  - {name: other, results: found.json, ann_file: a/val.json, boxes: ours}
published:
  - {name: SPM, data_set: val, boxes: none, metrics: {AP: 67}, source: paper}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'list.yaml'
        path.write_text(text)
        return path

    return write


def test_reads_all(write):
    spec = read_spec(write(FULL))
    assert spec.title == 'Two models'
    assert (spec.work_dir, spec.rank_by) == ('there', 'AP50')
    assert spec.pictures is False
    assert spec.models == (
        ModelSpec('one', 'a/one.py', 'one.pth'),
        ModelSpec(
            'two', 'a/two.py', 'two.pth', {'model.test_cfg.flip_test': False}
        ),
    )
    ground_truth = (BoxSource('ground_truth'),)
    assert spec.data_sets == (
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
    assert spec.results == (
        ResultsSpec('other', 'found.json', 'a/val.json', 'ours', 'val'),
    )
    assert spec.published == (
        PublishedSpec('SPM', {'AP': 67.0}, 'none', 'val', 'paper'),
    )


def test_what_need_not_be_given(write):
    spec = read_spec(
        write('models: [{config: a/one.py, checkpoint: one.pth}]')
    )
    assert spec.models[0].name == 'one'
    assert spec.data_sets == ()
    assert spec.box_sources == (BoxSource('config'),)
    assert (spec.title, spec.rank_by) == ('list', 'AP')
    assert spec.work_dir is None
    assert spec.pictures is True


MODEL = 'models: [{config: c.py, checkpoint: w.pth}]\n'


@pytest.mark.parametrize(
    'text, said',
    [
        ('', 'is empty: it needs a list of models'),
        ('a: [', 'is no YAML'),
        ('title: x', 'lists no models, results or published rows'),
        (MODEL + MODEL, "the key 'models' stands twice"),
        (
            'published: [{name: a, data_set: b, boxes: c, source: d, '
            'metrics: {AP: high}}]',
            "published[0]: metrics: AP must be a number, but is 'high'",
        ),
        ('model: []', "unknown key 'model': the keys are models, data_sets, "),
        ('models: {config: c.py}', 'models must be a list'),
        ('models: [{config: c.py}]', "models[0] lacks 'checkpoint'"),
        (
            'models: [{config: c.py, checkpont: w.pth}]',
            "models[0]: unknown key 'checkpont': the keys are name, ",
        ),
        (
            MODEL + 'box_sources: [{perturbed: shift, size: 1, seed: true}]',
            'seed must be a whole number, but is True',
        ),
        ('models: [a]', 'models[0] must have keys (name, config, '),
        (MODEL + 'box_sources: []', 'box_sources is empty'),
        (MODEL + 'box_sources: [jitter]', "box_sources[0]: 'jitter' is no"),
        (
            MODEL + 'data_sets: [{name: a, dataset: {}}]',
            "data_sets[0].dataset lacks 'ann_file'",
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
        read_spec(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(ConfigError, match=r'list\.yaml does not exist'):
        read_spec(path)


def test_pairs():
    spec = spec_of_pairs(
        ['a.py', '1.pth', 'b/a.py', '2.pth', 'c.py', '3.pth'],
        ['config', 'shift:0.2'],
    )
    assert [model.name for model in spec.models] == [
        'a (1.pth)',
        'a (2.pth)',
        'c',
    ]
    assert spec.box_sources[1] == BoxSource(
        'perturbed', error='shift', size=0.2
    )
    for wrong in ([], ['a.py'], ['a.py', '1.pth', 'b.py']):
        with pytest.raises(ConfigError, match='each with its checkpoint'):
            spec_of_pairs(wrong, None)


@pytest.mark.parametrize(
    'source, expected',
    [
        ('config', BoxSource('config')),
        ('ground_truth', BoxSource('ground_truth')),
        ('a/b.json', BoxSource('detections', file='a/b.json')),
        ('shift:0.2', BoxSource('perturbed', error='shift', size=0.2)),
        (
            'truncation:0.3:7',
            BoxSource('perturbed', error='truncation', size=0.3, seed=7),
        ),
        (
            dict(detections='b.json', score_thr=0.5),
            BoxSource('detections', file='b.json', score_thr=0.5),
        ),
        (
            dict(perturbed='amplification', size=2, detections='b.json'),
            BoxSource(
                'perturbed', file='b.json', error='amplification', size=2.0
            ),
        ),
    ],
)
def test_parses(source, expected):
    assert parse_box_source(source, 'here') == expected


@pytest.mark.parametrize(
    'source, said',
    [
        ('shift', "'shift' is no source of boxes"),
        ('shift:a', 'is no source of boxes'),
        ('shift:0.1:0:1', 'is no source of boxes'),
        ('shift:-1', 'a box error of size -1.0'),
        ('jump:0.1', "unknown kind of box error 'jump': choose from shift"),
        ('amplification:2', 'detections are needed for amplification'),
        (dict(perturbed='shift'), "lacks 'size'"),
        (dict(file='b.json'), "unknown key 'file'"),
        (3, '3 is no source of boxes'),
    ],
)
def test_refuses(source, said):
    with pytest.raises(ConfigError) as caught:
        parse_box_source(source, 'here')
    assert str(caught.value).startswith('here')
    assert said in str(caught.value)
