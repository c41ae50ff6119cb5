"""The command from end to end, in one process."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from rmpe_spm.experiments import rmpe_ablation, tool_runs
from rmpe_spm.experiments.rmpe_ablation import ROWS


@pytest.fixture
def tool(tool, load_tool, monkeypatch):
    """The tool; its runs take place in this process, and are noted.

    Of each the name, the seed and the weights that it starts from; the one
    of the number ``stops`` is interrupted.
    """
    tools = {f'{name}.py': load_tool(name) for name in ('train', 'test')}

    def run(name, arguments, log_file):
        if len(tool.calls) == tool.stops:
            raise KeyboardInterrupt
        given = dict(a.split('=', 1) for a in arguments if '=' in a)
        assert ('--no-validate' in arguments) == (name == 'train.py')
        tool.calls.append(log_file.parent.name)
        tool.seeds.add(given.get('randomness.seed'))
        start = given.get('load_from')
        if start:
            tool.starts[log_file.parent.name] = Path(start).parent.name
        # mmengine keeps global state by this name.
        unique = f'experiment_name=ablation_{len(tool.calls)}'
        if '--cfg-options' not in arguments:
            arguments = [*arguments, '--cfg-options']
        tools[name].main([*arguments, unique])

    monkeypatch.setattr(tool_runs, '_run_tool', run)
    # Half of the time would go into the layout of configs.
    plain = 'mmengine.config.config.FormatCode'
    monkeypatch.setattr(plain, lambda text, **kwargs: (text, True))
    tool.calls, tool.seeds, tool.starts, tool.stops = [], set(), {}, None
    return tool


def test_from_configs_to_report(tool, tiny_stages, tmp_path):
    work_dir, redundant = tmp_path / 'ablation', tmp_path / 'redundant.json'
    boxes = Config.fromfile(tiny_stages[1]).test_dataloader.dataset.bbox_file
    redundant.write_text(Path(boxes).read_text())
    argv = [*map(str, tiny_stages), '--work-dir', str(work_dir)]
    argv += ['--seeds', '3', '--redundant-boxes', str(redundant)]
    argv += ['--cfg-options', 'train_dataloader.batch_size=2']
    trainings = [f'stage1_{name}' for name in ('plain', 'jitter', 'pgpg')]
    trainings += [f'stage2_{name}' for name in rmpe_ablation.TRAININGS]
    tests = [f'test_{name}' for name in rmpe_ablation.TRAININGS]
    tests += ['test_annotated']
    tests += ['test_redundant_plain', 'test_redundant_parallel']
    # Interrupted in the midst of the tests.
    tool.stops = len(trainings) + 1
    with pytest.raises(KeyboardInterrupt):
        tool.main(argv)
    assert not (work_dir / 'results.md').exists()
    tool.stops = None
    tool.main(argv)
    assert tool.calls == [*trainings, *tests]
    assert tool.seeds == {'3', None}
    assert tool.starts == {
        f'stage2_{name}': f'stage1_{start}'
        for name, start in rmpe_ablation.TRAININGS.items()
    }
    for path in (work_dir / 'configs').glob('stage*.py'):
        assert Config.fromfile(path).train_dataloader.batch_size == 2
    text = (work_dir / 'results.md').read_text()
    for row in ROWS:
        assert f'| {row.label} | 0.' in text
    assert f'`python tools/ablate_rmpe.py {tiny_stages[0]}' in text

    def boxes(name):
        record = work_dir / 'seed3' / name / 'run.json'
        return json.loads(record.read_text())['outcome']['metrics']['boxes']

    assert boxes('test_annotated') == 'ground truth'
    assert boxes('test_plain').startswith('detections')
    for model in ('plain', 'parallel'):
        found = boxes(f'test_redundant_{model}')
        assert found == 'detections redundant.json'


def test_wrong_set_up_is_told(tool, tiny_stages, tmp_path, refusal):
    stage1, stage2 = tiny_stages
    argv = ['--work-dir', tmp_path / 'ablation']
    said = refusal(tool.main, stage1, stage1, *argv)
    assert 'ablate_rmpe.py: error: ' in said
    argv += ['--redundant-boxes', 'nowhere.json']
    said = refusal(tool.main, stage1, stage2, *argv)
    assert 'redundant boxes: nowhere.json' in said
