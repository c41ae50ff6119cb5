import json
import os
import signal
import sys
import time

import pytest
import torch

from rmpe_spm.errors import RunFailedError
from rmpe_spm.experiments import tool_runs
from rmpe_spm.experiments.tool_runs import run_command, run_test, run_training

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
    monkeypatch.setattr(tool_runs, 'TOOLS', tmp_path)
    torch.save({'weight': torch.ones(2)}, tmp_path / 'net.pth')
    (tmp_path / 'train.py').write_text(TRAIN)
    (tmp_path / 'test.py').write_text(TEST)
    return tmp_path


def write_config(folder, evaluator):
    path = folder / 'config.py'
    path.write_text(f'test_evaluator = {evaluator}\nlr = 1\n')
    return str(path)


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path, dict(type='CocoMetric'))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / 'my weights.pth'
    path.write_text('x')
    return path


def calls(folder):
    lines = (folder / 'calls.txt').read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_training_command(tools, config, weights, tmp_path):
    folder = tmp_path / 'my runs, 2' / 'train'
    options = dict(lr=2, size=(4, 5))
    run = run_training(config, folder, 3, options, weights, ['--amp'])
    assert run.checkpoint == folder / 'epoch_1.pth'
    assert calls(folder) == [
        [config, '--work-dir', str(folder), '--amp', '--cfg-options']
        + ['randomness.seed=3', 'lr=2', 'size=[4, 5]']
        + [f'load_from={weights}']
    ]


def test_finished_training_is_not_repeated(tools, config, tmp_path, capsys):
    folder = tmp_path / 'run'
    first = run_training(config, folder)
    assert run_training(config, folder) == first
    assert f'{folder} is finished' in capsys.readouterr().out
    assert calls(folder) == [[config, '--work-dir', str(folder)]]
    run_training(config, folder, seed=1)
    run_training(config, folder, seed=1, cfg_options=dict(lr=3))
    run_training(config, folder, 1, dict(lr=3), arguments=['--amp'])
    assert len(calls(folder)) == 1
    assert (tmp_path / 'run.old3').is_dir()


def test_interrupted_training_goes_on(tools, config, weights, tmp_path):
    folder = tmp_path / 'run'
    train = tools / 'train.py'
    train.write_text(TRAIN + 'raise SystemExit(9)')
    with pytest.raises(RunFailedError, match=r'train\.log'):
        run_training(config, folder, 0, load_from=weights)
    train.write_text(TRAIN)
    run_training(config, folder, 0, load_from=weights)
    expected = ['--resume', str(folder / 'epoch_1.pth')]
    expected += ['--cfg-options', 'randomness.seed=0']
    assert calls(folder)[1][3:] == expected


@pytest.mark.parametrize(
    'script, said',
    [
        # cut off while saving: it starts anew
        (
            TRAIN + "(folder / 'epoch_1.pth').write_bytes(b'PK')\n"
            "raise SystemExit('no such net')",
            'no such net\n',
        ),
        ('', 'saved no checkpoint'),
    ],
)
def test_training_without_a_readable_checkpoint_is_told(
    tools, config, tmp_path, script, said
):
    (tools / 'train.py').write_text(script)
    log = tmp_path / 'run' / 'train.log'
    with pytest.raises(RunFailedError) as caught:
        run_training(config, tmp_path / 'run')
    assert said in str(caught.value) and str(log) in str(caught.value)
    (tools / 'train.py').write_text(TRAIN)
    run_training(config, tmp_path / 'run')
    assert '--resume' not in calls(tmp_path / 'run')[-1]


def test_test_command(tools, config, weights, tmp_path):
    folder = tmp_path / 'my tests, 2'
    run = run_test(config, weights, folder, dict(lr=2))
    assert run.metrics == {'coco/AP': 0.5}
    assert run.results_file == folder / 'results.keypoints.json'
    prefix = f"test_evaluator.outfile_prefix='{folder}/results'"
    expected = [config, str(weights), '--work-dir', str(folder)]
    expected += ['--out', f'{folder}/metrics.json']
    expected += ['--cfg-options', 'lr=2', prefix]
    assert calls(folder) == [expected]
    assert run_test(config, weights, folder, dict(lr=2)) == run
    assert len(calls(folder)) == 1
    weights.write_text('y')
    run_test(config, weights, folder, dict(lr=2))
    assert (tmp_path / 'my tests, 2.old1').is_dir()


def test_results_of_other_evaluators(tools, weights, tmp_path):
    evaluators = [dict(type='PCKAccuracy'), dict(type='PoseNMSCocoMetric')]
    config = write_config(tmp_path, evaluators[0])
    assert run_test(config, weights, tmp_path / 'a').results_file is None
    config = write_config(tmp_path, evaluators)
    assert run_test(config, weights, tmp_path / 'b').results_file
    option = f'test_evaluator.1.outfile_prefix={tmp_path}/b/results'
    assert calls(tmp_path / 'b')[0][-1] == option


def test_output_is_logged_and_progress_shown(tools, config, tmp_path, capsys):
    (tools / 'train.py').write_text(
        TRAIN + 'print("INFO Epoch(train)  [1][2/3]   loss: 4")\n'
        'print("chatter", sys.executable, file=sys.stderr)'
    )
    run_training(config, tmp_path / 'run', arguments=['two words'])
    shown, log = capsys.readouterr().out, (tmp_path / 'run/train.log')
    assert 'run: Epoch(train) [1][2/3] loss: 4\n' in shown
    assert 'chatter' not in shown
    for text in (shown, log.read_text()):
        assert 'train.py' in text and "'two words'\n" in text
    assert f'chatter {sys.executable}\n' in log.read_text()


def test_interrupt_ends_the_tool_and_keeps_the_time(
    tools, config, tmp_path, monkeypatch
):
    (tools / 'train.py').write_text(
        'import os, time\nprint("Epoch(train)", os.getpid(), flush=True)\n'
        'time.sleep(30)'
    )
    pids = []

    def interrupted(text, **_):
        if 'Epoch' in text:
            pids.append(int(text.split()[-1]))
            raise KeyboardInterrupt

    monkeypatch.setattr('builtins.print', interrupted)
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / 'run')
    assert time.perf_counter() - begin < 20
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    state = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert state['outcome'] is None and state['seconds'] > 0


def test_a_kill_is_an_interruption_that_is_told(capsys):
    before = signal.getsignal(signal.SIGTERM)
    try:
        for command, code in (
            (lambda: os.kill(os.getpid(), signal.SIGTERM), 130),
            (lambda: 1, 1),
        ):
            with pytest.raises(SystemExit) as caught:
                run_command(command)
            assert caught.value.code == code
        assert 'the same command goes on' in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGTERM, before)
