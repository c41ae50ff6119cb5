"""The demo from data to pictures, with a net too small to learn anything."""

import importlib
import json
import os
import re
import subprocess
import sys
import time

import pytest
from mmengine.config import Config

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


@pytest.fixture
def tool(load_tool):
    return load_tool('demo')


def test_whole_demo(tool, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv('GENERATED', '')  # so that it is restored
    monkeypatch.setattr(tool, 'share_cores', lambda num_methods: False)
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
    ('cores', 'gpu', 'threads'),
    [(2, False, '1'), (9, False, '4'), (1, False, None), (8, True, None)],
)
def test_cores_are_shared_on_a_cpu(tool, monkeypatch, cores, gpu, threads):
    environ = {}
    monkeypatch.setattr(tool.os, 'environ', environ)
    monkeypatch.setattr(tool, 'usable_cores', lambda: cores)
    monkeypatch.setattr(tool.torch.cuda, 'is_available', lambda: gpu)
    assert tool.share_cores(2) == (threads is not None)
    assert environ.get('OMP_NUM_THREADS') == threads


def test_the_user_decides_about_threads(tool, monkeypatch):
    environ = dict(OMP_NUM_THREADS='3')
    monkeypatch.setattr(tool.os, 'environ', environ)
    monkeypatch.setattr(tool, 'usable_cores', lambda: 8)
    monkeypatch.setattr(tool.torch.cuda, 'is_available', lambda: False)
    assert tool.share_cores(2)
    assert environ['OMP_NUM_THREADS'] == '3'


def test_a_method_that_fails_side_by_side_is_told(
    repo_root, tmp_path, monkeypatch, capsys
):
    # as a module that the new process can import
    monkeypatch.syspath_prepend(str(repo_root / 'tools'))
    demo = importlib.import_module('demo')
    with pytest.raises(KeyError, match='NONE'):
        demo.run_side_by_side([('NONE', tmp_path, 0)])
    assert 'NONE failed.' in capsys.readouterr().out


ENDED = """
import signal
import sys
from pathlib import Path

sys.path.insert(0, {tools!r})
import demo
from rmpe_spm.experiments import tool_runs

tool_runs.TOOLS = Path({folder!r})


def wait(method, folder, seed):
    folder = folder / method / 'train'
    folder.mkdir(parents=True)
    tool_runs._run_tool('wait.py', [], folder / 'train.log')


if __name__ == '__main__':
    demo.train_and_test = wait
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo.run_side_by_side([(m, Path({folder!r}), 0) for m in 'ab'])
"""
WAIT = """
import os
import time
from pathlib import Path

Path(__file__).with_name(f'{os.getpid()}.pid').touch()
time.sleep(100)
"""


def test_trainings_end_with_the_demo(repo_root, tmp_path):
    script = tmp_path / 'ended.py'
    tools = str(repo_root / 'tools')
    script.write_text(ENDED.format(tools=tools, folder=str(tmp_path)))
    (tmp_path / 'wait.py').write_text(WAIT)
    demo = subprocess.Popen([sys.executable, str(script)], cwd=repo_root)
    try:
        for _ in range(600):
            trainings = [int(p.stem) for p in tmp_path.glob('*.pid')]
            if len(trainings) == 2 or demo.poll() is not None:
                break
            time.sleep(0.2)
        assert len(trainings) == 2
        demo.terminate()  # which only this process hears of
        assert demo.wait(60) != 0
    finally:
        demo.kill()
    for process in trainings:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_every_schedule_ends_in_its_method(tool):
    for method, names in tool.SCHEDULES.items():
        configs = [Config.fromfile(tool.CONFIGS / name) for name in names]
        assert names[-1].split('/')[-1].startswith(method.lower())
        assert configs[0].load_from.startswith('rmpe_spm://')
        assert method in tool.BOX_SOURCE


def test_parameters_are_those_of_the_net_at_test(tool):
    spm = tool.count_parameters(tool.CONFIGS / tool.SCHEDULES['SPM'][-1])
    assert 4.5 < spm < 5
    stage1, stage2 = (
        tool.count_parameters(tool.CONFIGS / name)
        for name in tool.SCHEDULES['RMPE']
    )
    # the localizer, the same as the backbone, and theta; no twin
    assert 2 < stage2 - stage1 < 2.5
