"""The command from end to end, in one process."""

import json
from functools import partial

import pytest

from rmpe_spm.errors import RunFailedError
from rmpe_spm.experiments import box_robustness, rmpe_ablation, tool_runs
from rmpe_spm.experiments.rmpe_ablation import ROWS

# A few points of each curve.
CURVES = {
    'shift': (0, 0.2),
    'scale': (0,),
    'truncation': (0,),
    'amplification': (1, 2),
}


@pytest.fixture
def tool(load_tool, monkeypatch):
    """The tool; its runs take place in this process, and are noted."""
    tools = {f'{name}.py': load_tool(name) for name in ('train', 'test')}
    calls = []

    def run(name, arguments, log_file):
        calls.append(log_file.parent.name)
        # mmengine keeps global state by this name.
        unique = f'experiment_name=ablation_{len(calls)}'
        if '--cfg-options' not in arguments:
            arguments = [*arguments, '--cfg-options']
        tools[name].main([*arguments, unique])

    monkeypatch.setattr(tool_runs, '_run_tool', run)
    # Half of the time would go into the layout of configs.
    plain = 'mmengine.config.config.FormatCode'
    monkeypatch.setattr(plain, lambda text, **kwargs: (text, True))
    curves = partial(box_robustness.box_curves, curves=CURVES)
    monkeypatch.setattr(rmpe_ablation, 'box_curves', curves)
    tool = load_tool('ablate_rmpe')
    tool.calls = calls
    return tool


def test_from_configs_to_report(tool, tiny_stages, tmp_path, monkeypatch):
    work_dir = tmp_path / 'ablation'
    argv = [*map(str, tiny_stages), '--work-dir', str(work_dir)]
    argv += ['--seeds', '0']
    # Interrupted before the curves, and then in the midst of them.
    evaluate = box_robustness.evaluate_on_boxes

    def interrupted(*args):
        metrics = evaluate(*args)
        yield next(metrics)
        raise KeyboardInterrupt

    monkeypatch.setattr(box_robustness, 'evaluate_on_boxes', interrupted)
    with pytest.raises(KeyboardInterrupt):
        tool.main(argv)
    assert not (work_dir / 'results.md').exists()
    done = list(tool.calls)
    assert done == [
        *(f'stage1_{name}' for name in ('plain', 'jitter', 'pgpg')),
        *(f'stage2_{name}' for name in rmpe_ablation.TRAININGS),
        *(f'test_{name}' for name in rmpe_ablation.TRAININGS),
        'test_oracle',
    ]
    monkeypatch.setattr(box_robustness, 'evaluate_on_boxes', evaluate)
    tool.main(argv)
    assert tool.calls == done
    text = (work_dir / 'results.md').read_text()
    for row in ROWS:
        assert f'| {row.label} | 0.' in text
    assert f'ablate_rmpe.py {tiny_stages[0]}' in text

    def measured(run):
        return json.loads((work_dir / 'seed0' / run / 'run.json').read_text())[
            'outcome'
        ]['metrics']

    # What is measured twice comes out the same.
    tests = {name: measured(name) for name in done if 'test_' in name}
    boxes = {name: tests[name].pop('boxes') for name in tests}
    assert boxes.pop('test_oracle') == 'ground truth'
    assert all(name.startswith('detections') for name in boxes.values())
    for model in ('plain', 'parallel'):
        assert measured(f'curves_{model}/amplification_1') == pytest.approx(
            tests[f'test_{model}']
        )
    assert measured('curves_parallel/annotated') == pytest.approx(
        tests['test_oracle']
    )


def test_wrong_set_up_is_told(tool, tiny_stages, tmp_path, capsys):
    stage1, _ = tiny_stages
    with pytest.raises(SystemExit) as caught:
        tool.main([str(stage1), str(stage1), '--work-dir', str(tmp_path)])
    assert caught.value.code == 2
    assert 'ablate_rmpe.py: error: ' in capsys.readouterr().err


def test_a_failed_run_is_told(
    tool, tiny_stages, tmp_path, capsys, monkeypatch
):
    def fail(name, arguments, log_file):
        raise RunFailedError(f'see {log_file}')

    monkeypatch.setattr(tool_runs, '_run_tool', fail)
    argv = [*map(str, tiny_stages), '--work-dir', str(tmp_path / 'work')]
    with pytest.raises(SystemExit):
        tool.main(argv)
    assert 'stage1_plain/train.log' in capsys.readouterr().err
