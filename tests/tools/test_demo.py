"""The demo from data to pictures, with a net too small to learn anything."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from rmpe_spm.errors import RunFailedError
from rmpe_spm.inference.web import PHOTOGRAPHS

TINY = """
_base_ = ['{base}']
load_from = None
train_cfg = dict(max_epochs=1, val_interval=1)
param_scheduler = []
codec = dict(_base_.codec, input_size=(64, 64), heatmap_size=(16, 16))
model = dict(
    backbone=dict(widen_factor=0.25, frozen_stages=-1),
    neck=dict(in_channels=[8, 8, 16, 1280]),
    head=dict(decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[2].input_size = (64, 64)
train_pipeline[3].encoder = codec
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
"""


def test_whole_demo(tool, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv('GENERATED', '')  # so that it is restored
    monkeypatch.setattr(tool, 'predict_photographs', print)
    base = tool.CONFIGS / tool.SCHEDULES['SPM'][-1]
    config = tmp_path / 'tiny.py'
    config.write_text(TINY.format(base=base))
    monkeypatch.setattr(tool, 'SCHEDULES', {'SPM': [str(config)]})
    work_dir = tmp_path / 'demo'
    arguments = ['--work-dir', str(work_dir), '--methods', 'SPM']
    arguments += ['--num-train', '10', '--num-val', '4']
    tool.main(arguments)
    out = capfd.readouterr().out
    assert str(work_dir / 'photographs') in out
    text = (work_dir / 'results.md').read_text()
    assert text in out
    head, _, row = (line.split(' | ') for line in text.splitlines())
    assert head[:5] == ['| method', 'boxes', 'AP', 'AP50', 'AR']
    assert row[0] == '| SPM' and row[1] == 'none (single stage)'
    metrics = json.loads((work_dir / 'spm/test/metrics.json').read_text())
    keys = ('coco/AP', 'coco/AP .5', 'coco/AR')
    assert row[2:5] == [f'{metrics[key]:.3f}' for key in keys]
    assert int(row[5]) > 0 and int(row[6]) > 0
    assert len(list((work_dir / 'pictures' / 'spm').glob('*.jpg'))) == 4
    assert (work_dir / 'pictures' / 'spm.jpg').is_file()

    # a second demo repeats nothing
    tool.main(arguments)
    again = capfd.readouterr().out
    assert '$ python' not in again and text in again


def test_photographs_of_installed_packages_are_predicted(
    tool, tmp_path, monkeypatch, capsys
):
    """By both models, wherever a package is; here matplotlib."""
    monkeypatch.setitem(PHOTOGRAPHS, 'not_installed', 'none.jpg')
    tool.predict_photographs(['RMPE', 'SPM'], tmp_path)
    out = capsys.readouterr().out
    for name in ('rmpe', 'spm'):
        assert (tmp_path / f'grace_hopper_{name}.jpg').is_file()
        # Rear Admiral Hopper
        assert re.search(rf'grace_hopper_{name}.jpg: [1-9]', out)


@pytest.mark.parametrize(
    ('cores', 'gpu', 'given', 'threads'),
    [
        (2, False, {}, '1'),
        (9, False, {}, '4'),
        (8, False, dict(OMP_NUM_THREADS='3'), '3'),
        (1, False, {}, None),
        (8, True, {}, None),
    ],
)
def test_cores_are_shared_on_a_cpu(
    tool, monkeypatch, cores, gpu, given, threads
):
    """By as many threads as the user says, or all."""
    monkeypatch.setattr(tool.os, 'environ', given)
    monkeypatch.setattr(tool, 'usable_cores', lambda: cores)
    monkeypatch.setattr(tool.torch.cuda, 'is_available', lambda: gpu)
    assert tool.share_cores(2) == (threads is not None)
    assert given.get('OMP_NUM_THREADS') == threads


def test_a_method_that_fails_side_by_side_is_told(tool, tmp_path, monkeypatch):
    script = tmp_path / 'demo.py'
    script.write_text('import sys; sys.exit("SPM" in sys.argv)')
    monkeypatch.setattr(tool, '__file__', str(script))
    with pytest.raises(RunFailedError, match='^SPM failed'):
        tool.run_side_by_side(['--seed=1'], ['RMPE', 'SPM'])


ENDED = """
import signal
import sys

sys.path.insert(0, {tools!r})
import demo

demo.__file__ = {wait!r}
signal.signal(signal.SIGTERM, signal.default_int_handler)
demo.run_side_by_side([], ['RMPE', 'SPM'])
"""
WAIT = """
import os
import time
from pathlib import Path

Path(__file__).with_name(f'{os.getpid()}.pid').touch()
time.sleep(100)
"""


def test_methods_end_with_the_demo(repo_root, tmp_path):
    script, wait = tmp_path / 'ended.py', tmp_path / 'wait.py'
    tools = str(repo_root / 'tools')
    script.write_text(ENDED.format(tools=tools, wait=str(wait)))
    wait.write_text(WAIT)
    demo = subprocess.Popen([sys.executable, str(script)], cwd=repo_root)
    try:
        for _ in range(600):
            methods = [int(p.stem) for p in tmp_path.glob('*.pid')]
            if len(methods) == 2 or demo.poll() is not None:
                break
            time.sleep(0.2)
        assert len(methods) == 2
        demo.terminate()  # which only this process hears of
        assert demo.wait(60) != 0
    finally:
        demo.kill()
    for process in methods:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_parameters_are_those_of_the_net_at_test(tool):
    spm = tool.count_parameters(tool.CONFIGS / tool.SCHEDULES['SPM'][-1])
    assert 4.5 < spm < 5
    stage1, stage2 = (
        tool.count_parameters(tool.CONFIGS / name)
        for name in tool.SCHEDULES['RMPE']
    )
    # the localizer, the same as the backbone, and theta; no twin
    assert 2 < stage2 - stage1 < 2.5
