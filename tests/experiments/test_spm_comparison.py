import json

import numpy as np
import pytest
import torch
from mmpose.models.heads import DEKRHead

from rmpe_spm.errors import ConfigError
from rmpe_spm.experiments import spm_comparison
from rmpe_spm.experiments.fast_dekr import GridDeformConv2d, GridSampleDEKRHead
from rmpe_spm.experiments.spm_comparison import (
    ComparedRun,
    JointErrors,
    draw_error_by_distance,
    keep_common,
    run_comparison,
    write_comparison,
)
from rmpe_spm.experiments.tool_runs import TestRun as Tested
from rmpe_spm.experiments.tool_runs import TrainingRun as Trained

NAMES = ['nose', 'left_hip', 'right_hip', 'left_knee', 'right_knee']


@pytest.fixture
def annotations(tmp_path):
    """Four people with joints at 10 to 50 pixels, area 100."""
    points = 10.0 * np.arange(1, 6)[:, None] + np.arange(2)
    keypoints = np.c_[points, np.full(5, 2)].ravel().tolist()
    person = dict(category_id=1, bbox=[10, 10, 40, 40], area=100, iscrowd=0)
    person['keypoints'] = keypoints
    content = dict(
        images=[dict(id=i) for i in range(4)],
        annotations=[dict(person, id=i, image_id=i) for i in range(4)],
        categories=[dict(id=1, name='person', keypoints=NAMES)],
    )
    path = tmp_path / 'people.json'
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

    def train(config, work_dir, seed, cfg_options, arguments):
        assert arguments == ['--no-validate'] and cfg_options == dict(lr=1)
        calls.append((config, str(work_dir), seed))
        return Trained(work_dir / 'last.pth', 60.0 * (1 + seed))

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
        metrics = dict.fromkeys(spm_comparison.METRICS.values(), shift / 10)
        return Tested(metrics, work_dir / 'r.json', 1.0)

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
    lines = report.read_text().splitlines()
    assert lines[0] == '|  | tree | star |'
    assert lines[2] == '| AP | 0.100 ± 0.000 | 0.200 ± 0.000 |'
    assert lines[5:9] == [
        '| training min | 2.0 ± 1.4 | 2.0 ± 1.4 |',
        '| error of nose | 0.000 ± 0.000 | 0.000 ± 0.000 |',
        '| error of hip | 0.000 ± 0.000 | 0.000 ± 0.000 |',
        '| error of knee | 0.100 ± 0.000 | 0.200 ± 0.000 |',
    ]
    assert lines[10].startswith('Errors are of 20 joints of 4 people')
    assert (work_dir / 'joint_errors.png').stat().st_size > 5000


NAN = np.nan
DISTANCES = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, NAN]])


def compared(*errors):
    return ComparedRun(
        dict.fromkeys(spm_comparison.METRICS.values(), 0.5),
        JointErrors(np.array(errors), DISTANCES),
        60.0,
    )


RESULTS = {
    'tree': [
        compared([0.1, 0.2, 0.4], [0.3, NAN, NAN]),
        compared([0.3, 0.2, 0.6], [0.3, 0.1, NAN]),
    ],
    'star': [compared([0.5, 0.4, 0.8], [0.5, 0.1, NAN])] * 2,
}


def test_errors_are_of_joints_that_all_have(tmp_path, monkeypatch):
    """The second person's left hip is not counted: one run lacks it."""
    monkeypatch.setattr(spm_comparison, 'NUM_BINS', 2)
    names = ['nose', 'left_hip', 'right_hip']
    text = write_comparison(RESULTS, names, tmp_path).read_text()
    assert '| error of nose | 0.250 ± 0.071 | 0.500 ± 0.000 |' in text
    # left and right together
    assert '| error of hip | 0.350 ± 0.071 | 0.600 ± 0.000 |' in text
    assert 'Errors are of 4 joints of 2 people' in text
    one = {'one': [compared([NAN, 0.2, 0.4], [NAN, NAN, NAN])]}
    text = write_comparison(one, names, tmp_path).read_text()
    assert 'error of nose' not in text
    assert '| error of hip | 0.300 |' in text


def test_plot():
    errors = keep_common([r.errors for runs in RESULTS.values() for r in runs])
    errors = {'tree': errors[:2], 'star': errors[2:]}
    # of the distances 1, 1, 2, 3
    axis = draw_error_by_distance(errors, np.array([1, 1.5, 3])).axes[0]
    _, labels = axis.get_legend_handles_labels()
    assert labels == ['tree', 'star']
    line, _, (bars,) = axis.containers[0].lines
    spread = [np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments()]
    np.testing.assert_allclose(spread, [0.005**0.5] * 2)
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.25], [2.5, 0.35]])


def test_model_that_finds_nobody(runs, configs, tmp_path, monkeypatch):
    monkeypatch.setattr(spm_comparison, 'read_json', lambda path: [])
    work_dir = tmp_path / 'compared'
    report = run_comparison(configs, [0], work_dir, dict(lr=1)).read_text()
    assert '| AP | 0.100 | 0.200 |' in report
    assert 'No joint errors: all models found 0 joints' in report
    assert 'error of' not in report


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


CFG = dict(
    in_channels=8,
    num_keypoints=4,
    num_heatmap_filters=4,
    num_displacement_filters_per_keypoint=3,
)


def test_is_dekr_with_the_same_parameters():
    theirs = DEKRHead(**CFG)
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = GridSampleDEKRHead(**CFG)
    ours.load_state_dict(theirs.state_dict())
    features = (torch.randn(2, 8, 9, 7),)
    for one, two in zip(ours(features), theirs(features), strict=True):
        assert one.abs().max() > 0.01
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
    kinds = [type(module) for module in ours.modules()]
    assert kinds.count(GridDeformConv2d) == 2
    assert 'DeformConv2d' not in [kind.__name__ for kind in kinds]
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
