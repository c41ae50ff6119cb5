import json

import pytest
import torch

from rmpe_spm.errors import RunFailedError
from rmpe_spm.experiments import runs as run_folder
from rmpe_spm.experiments.runs import run_test, run_training

# Writes its arguments, one line a call, and the checkpoint that it is told.
TRAIN = """
import json, shutil, sys
from pathlib import Path
args = sys.argv[1:]
folder = Path(args[args.index('--work-dir') + 1])
with open(folder / 'calls.txt', 'a') as file:
    file.write(json.dumps(args) + '\\n')
shutil.copy(Path(__file__).with_name('net.pth'), folder / 'epoch_1.pth')
(folder / 'last_checkpoint').write_text('/moved/epoch_1.pth')
"""
TEST = """
import json, sys
from pathlib import Path
args = sys.argv[1:]
out = Path(args[args.index('--out') + 1])
out.write_text('{"coco/AP": 0.5}')
(out.parent / 'calls.txt').open('a').write(json.dumps(args) + '\\n')
(out.parent / 'results.keypoints.json').write_text('[]')
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Programs that note their arguments in place of the tools."""
    monkeypatch.setattr(run_folder, 'TOOLS', tmp_path)
    torch.save({'weight': torch.ones(2)}, tmp_path / 'net.pth')
    (tmp_path / 'train.py').write_text(TRAIN)
    (tmp_path / 'test.py').write_text(TEST)
    return tmp_path


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('test_evaluator = dict(type="CocoMetric")\nlr = 1\n')
    return str(path)


def calls(folder):
    lines = (folder / 'calls.txt').read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_training_command(tools, config, tmp_path):
    folder = tmp_path / 'run'
    weights = tmp_path / 'weights.pth'
    weights.write_text('x')
    run = run_training(
        config,
        folder,
        seed=3,
        cfg_options=dict(lr=2, size=(4, 5)),
        load_from=weights,
        validate=False,
    )
    assert run.checkpoint == folder / 'epoch_1.pth'
    assert calls(folder) == [
        [config, '--work-dir', str(folder), '--no-validate', '--cfg-options']
        + ['randomness.seed=3', 'lr=2', 'size=[4,5]', f'load_from={weights}']
    ]


def test_folders_with_blanks_and_commas(tools, config, tmp_path):
    folder, weights = tmp_path / 'my runs, 2', tmp_path / 'my w.pth'
    weights.write_text('x')
    run_training(config, folder / 'train', load_from=weights)
    run_test(config, weights, folder / 'test')
    settings = [calls(folder / name)[0][-1] for name in ('train', 'test')]
    assert settings == [
        f'load_from={weights}',
        f"test_evaluator.outfile_prefix='{folder}/test/results'",
    ]


def test_finished_training_is_not_repeated(tools, config, tmp_path):
    folder = tmp_path / 'run'
    first = run_training(config, folder)
    assert run_training(config, folder) == first
    assert len(calls(folder)) == 1
    run_training(config, folder, seed=1)
    run_training(config, folder, seed=1, cfg_options=dict(lr=3))
    run_training(
        config, folder, seed=1, cfg_options=dict(lr=3), validate=False
    )
    assert len(calls(folder)) == 1
    assert (tmp_path / 'run.old3').is_dir()


def test_interrupted_training_goes_on(tools, config, tmp_path):
    folder = tmp_path / 'run'
    weights = tmp_path / 'weights.pth'
    weights.write_text('x')
    train = tools / 'train.py'
    train.write_text(TRAIN + 'raise SystemExit(9)')
    with pytest.raises(RunFailedError, match=r'train\.log'):
        run_training(config, folder, load_from=weights)
    train.write_text(TRAIN)
    run_training(config, folder, load_from=weights)
    resume = ['--resume', str(folder / 'epoch_1.pth')]
    assert calls(folder)[1][3:] == [
        *resume,
        '--cfg-options',
        'randomness.seed=0',
    ]


def test_training_cut_off_while_saving_starts_anew(tools, config, tmp_path):
    folder = tmp_path / 'run'
    cut = "(folder / 'epoch_1.pth').write_bytes(b'PK')\nraise SystemExit(9)"
    (tools / 'train.py').write_text(TRAIN + cut)
    with pytest.raises(RunFailedError):
        run_training(config, folder)
    (tools / 'train.py').write_text(TRAIN)
    run_training(config, folder)
    assert '--resume' not in calls(folder)[1]


def test_training_without_checkpoint_is_told(tools, config, tmp_path):
    (tools / 'train.py').write_text('')
    with pytest.raises(RunFailedError, match='saved no checkpoint'):
        run_training(config, tmp_path / 'run')


def test_test_command(tools, config, tmp_path):
    folder, weights = tmp_path / 'test', tmp_path / 'w.pth'
    weights.write_text('x')
    run = run_test(config, weights, folder, dict(lr=2))
    assert run.metrics == {'coco/AP': 0.5}
    assert run.results_file == folder / 'results.keypoints.json'
    prefix = f'test_evaluator.outfile_prefix={folder}/results'
    expected = [config, str(weights), '--work-dir', str(folder)]
    expected += ['--out', f'{folder}/metrics.json']
    expected += ['--cfg-options', 'lr=2', prefix]
    assert calls(folder) == [expected]
    assert run_test(config, weights, folder, dict(lr=2)) == run
    assert len(calls(folder)) == 1
    weights.write_text('y')
    run_test(config, weights, folder, dict(lr=2))
    assert (tmp_path / 'test.old1').is_dir()


@pytest.mark.parametrize(
    'evaluators, option',
    [
        ('dict(type="PCK")', None),
        (
            '[dict(type="PCK"), dict(type="PoseNMSCocoMetric")]',
            'test_evaluator.1.outfile_prefix',
        ),
    ],
)
def test_results_of_other_evaluators(tools, tmp_path, evaluators, option):
    config = tmp_path / 'config.py'
    config.write_text(f'test_evaluator = {evaluators}\n')
    (tmp_path / 'w.pth').write_text('x')
    run = run_test(config, tmp_path / 'w.pth', tmp_path / 'test')
    (arguments,) = calls(tmp_path / 'test')
    assert (run.results_file is None) == (option is None)
    if option:
        assert arguments[-1] == f'{option}={tmp_path}/test/results'


def test_through_the_runner(tiny_config, tmp_path):
    """The real tool trains with the seed, and resumes."""
    config = tmp_path / 'tiny.py'
    tiny_config.dump(config)
    folder = tmp_path / 'run'
    run = run_training(config, folder, seed=5, validate=False)
    state = torch.load(run.checkpoint, weights_only=True)
    assert state['meta']['epoch'] == 1 and state['meta']['seed'] == 5
    # As if it had been stopped before the end was recorded.
    record = folder / 'run.json'
    content = json.loads(record.read_text())
    record.write_text(json.dumps(dict(content, outcome=None)))
    again = run_training(config, folder, seed=5, validate=False)
    assert again.checkpoint == run.checkpoint
    assert '--resume' in again.log.read_text()
