"""The command from end to end, in one process."""

import json
from functools import partial

import pytest

from rmpe_spm.experiments import box_robustness, rmpe_ablation
from rmpe_spm.experiments import runs as run_folder
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
        log_file.write_text(f'$ python tools/{name} {" ".join(arguments)}\n')
        # mmengine keeps global state by this name.
        unique = f'experiment_name=ablation_{len(calls)}'
        if '--cfg-options' not in arguments:
            arguments = [*arguments, '--cfg-options']
        tools[name].main([*arguments, unique])

    monkeypatch.setattr(run_folder, '_run_tool', run)
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
    assert tool.main(argv) == 130
    assert not (work_dir / 'results.md').exists()
    done = list(tool.calls)
    assert done == [
        *(f'stage1_{name}' for name in ('plain', 'jitter', 'pgpg')),
        *(f'stage2_{name}' for name in rmpe_ablation.TRAININGS),
        *(f'test_{name}' for name in rmpe_ablation.TRAININGS),
        'test_oracle',
    ]
    monkeypatch.setattr(box_robustness, 'evaluate_on_boxes', evaluate)
    assert tool.main(argv) == 0
    assert tool.calls == done
    content = json.loads((work_dir / 'results.json').read_text())
    assert len(content['rows']) == len(ROWS)
    (seed,) = content['seeds']
    # What is measured twice comes out the same.
    curves = {
        (model, point['kind'], point['size']): point['metrics']
        for model, points in seed['curves'].items()
        for point in points
    }
    metrics = seed['metrics']
    boxes = {name: metrics[name].pop('boxes') for name in metrics}
    assert boxes.pop('test_oracle') == 'ground truth'
    assert all(name.startswith('detections') for name in boxes.values())
    for model in ('plain', 'parallel'):
        assert curves[model, 'amplification', 1] == pytest.approx(
            metrics[f'test_{model}']
        )
    assert curves['parallel', 'shift', 0] == pytest.approx(
        metrics['test_oracle']
    )
    command = seed['commands']['stage2_parallel']
    assert 'stage1_pgpg/epoch_1.pth' in command and '--no-val' in command
    text = (work_dir / 'results.md').read_text()
    assert 'same 1 + 1 epochs' in text and command in text


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
        raise run_folder.RunFailedError(f'see {log_file}')

    monkeypatch.setattr(run_folder, '_run_tool', fail)
    argv = [*map(str, tiny_stages), '--work-dir', str(tmp_path / 'work')]
    with pytest.raises(SystemExit):
        tool.main(argv)
    assert 'stage1_plain/train.log' in capsys.readouterr().err
