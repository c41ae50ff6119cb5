import json
from pathlib import Path

import numpy as np
import pytest

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments import spm_comparison
from rmpe_spm.experiments.runs import TestRun as Tested
from rmpe_spm.experiments.runs import TrainingRun as Trained
from rmpe_spm.experiments.spm_comparison import run_comparison

NAMES = ['nose', 'left_hip', 'right_hip', 'left_knee', 'right_knee']


@pytest.fixture
def annotations(tmp_path):
    """Four people with joints at 10 to 50 pixels, area 100."""
    points = 10.0 * np.arange(1, 6)[:, None] + np.arange(2)
    keypoints = np.c_[points, np.full(5, 2)].ravel().tolist()
    people = [
        dict(
            id=i,
            image_id=i,
            category_id=1,
            bbox=[10, 10, 40, 40],
            area=100,
            iscrowd=0,
            keypoints=keypoints,
        )
        for i in range(4)
    ]
    path = tmp_path / 'people.json'
    content = dict(
        images=[dict(id=i) for i in range(4)],
        annotations=people,
        categories=[dict(id=1, name='person', keypoints=NAMES)],
    )
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def configs(annotations, tmp_path):
    """Two configs, whose ``shift`` is how far off their results are."""
    paths = {}
    for name, shift in (('tree', 1), ('star', 2)):
        paths[name] = str(tmp_path / f'{name}.py')
        (tmp_path / f'{name}.py').write_text(
            f'shift = {shift}\n'
            f'test_evaluator = dict(type="CocoMetric", '
            f'ann_file="{annotations}")\n'
        )
    return paths


@pytest.fixture
def runs(annotations, configs, monkeypatch):
    """Stand in for training and test; lists what was trained."""
    calls = []

    def train(config, work_dir, seed, cfg_options, validate):
        assert not validate and cfg_options == dict(lr=1)
        calls.append((config, str(work_dir), seed))
        return Trained(work_dir / 'last.pth', None, 60.0 * (1 + seed))

    def test(config, checkpoint, work_dir, cfg_options):
        assert checkpoint == work_dir.with_name('train') / 'last.pth'
        work_dir.mkdir(parents=True)
        shift = 1 if 'tree' in config else 2
        results = json.loads(annotations.read_text())['annotations']
        for result in results:
            result['score'] = 0.5
            joints = np.reshape(result['keypoints'], (5, 3)).astype(float)
            joints[3:, 0] += shift  # the knees
            result['keypoints'] = joints.ravel().tolist()
        (work_dir / 'r.json').write_text(json.dumps(results))
        metrics = dict.fromkeys(spm_comparison.METRICS, shift / 10)
        return Tested(metrics, work_dir / 'r.json', None, 1.0)

    monkeypatch.setattr(spm_comparison, 'run_training', train)
    monkeypatch.setattr(spm_comparison, 'run_test', test)
    return calls


def test_every_config_with_every_seed(runs, configs, tmp_path):
    work_dir = tmp_path / 'compared'
    report = run_comparison(configs, [0, 2], work_dir, dict(lr=1))
    assert runs == [
        (configs[name], f'{work_dir}/{name}/seed{seed}/train', seed)
        for seed in (0, 2)
        for name in ('tree', 'star')
    ]
    text = report.read_text()
    assert (
        '| star | 2 | 0.200 ± 0.000 | 0.200 ± 0.000 | 0.200 ± 0.000 '
        '| 0.200 ± 0.000 | 2.0 ± 1.4 |' in text
    )
    assert '20 joints of 4 people' in text
    assert (
        '| knee | 8 | 2.12 | 0.100 ± 0.000; 0.100 ± 0.000 '
        '| 0.200 ± 0.000; 0.200 ± 0.000 |' in text
    )
    assert '| hip | 8 | 0.71 | 0.000 ±' in text
    content = json.loads((work_dir / 'report.json').read_text())
    assert content['train_seconds'] == {n: [60, 180] for n in configs}
    assert content['joint_errors']['joints']['left_knee']['mean'] == {
        'tree': pytest.approx([0.1, 0.1]),
        'star': pytest.approx([0.2, 0.2]),
    }
    assert (work_dir / 'joint_errors.png').stat().st_size > 5000


def found_by_nobody(path):
    content = json.loads(Path(path).read_text())
    return content if isinstance(content, dict) else []


def test_model_that_finds_nobody(runs, configs, tmp_path, monkeypatch):
    monkeypatch.setattr(spm_comparison, 'load_json', found_by_nobody)
    work_dir = tmp_path / 'compared'
    report = run_comparison(configs, [0], work_dir, dict(lr=1)).read_text()
    assert '| tree | 1 | 0.100 |' in report
    assert 'No joint errors: 0 joints were found by all results' in report
    assert 'joint_errors' not in json.loads(
        (work_dir / 'report.json').read_text()
    )


def test_checks_come_before_training(runs, configs, annotations, tmp_path):
    other = tmp_path / 'other.json'
    other.write_text(annotations.read_text())
    star = tmp_path / 'star.py'
    text = star.read_text()
    star.write_text(text.replace('people.json', 'other.json'))
    with pytest.raises(ConfigError, match=r'tree on .*people\.json, star on'):
        run_comparison(configs, [0], tmp_path / 'x', dict(lr=1))
    star.write_text('test_evaluator = [dict(type="PCKAccuracy")]\n')
    with pytest.raises(ConfigError, match=r'star\.py: .* no CocoMetric'):
        run_comparison(configs, [0], tmp_path / 'x', dict(lr=1))
    star.write_text(text)
    content = json.loads(annotations.read_text())
    annotations.write_text(json.dumps(dict(content, categories=[])))
    with pytest.raises(ValueError, match='no category lists its keypoints'):
        run_comparison(configs, [0], tmp_path / 'x', dict(lr=1))
    assert runs == []
