import csv
import json
import shutil

import pytest


@pytest.fixture
def files(write_model, easy_annotations):
    keys = 'test_dataloader.dataset.ann_file', 'test_evaluator.ann_file'
    return list(write_model(**dict.fromkeys(keys, str(easy_annotations))))


def read_csv(folder):
    with (folder / 'leaderboard.csv').open() as file:
        return list(csv.DictReader(file))


def test_numbers_are_those_of_the_test_tool(
    load_tool, tool, files, tmp_path, capsys
):
    out, work_dir = tmp_path / 'metrics.json', tmp_path / 'board'
    load_tool('test').main([*files, '--out', str(out)])
    expected = json.loads(out.read_text())
    argv = [*files, '--work-dir', str(work_dir), '--resamples', '20']
    assert tool.main(argv) == 0
    (line,) = read_csv(work_dir)
    assert 0 < expected['coco/AP'] < 1
    names = {'AP': 'AP', 'AP50': 'AP .5', 'APL': 'AP (L)', 'AR': 'AR'}
    for name, theirs in names.items():
        assert float(line[name]) == expected[f'coco/{theirs}']
    assert line['boxes'] == 'ground truth'
    assert float(line['AP low']) <= float(line['AP'])
    # and once more, from what is kept
    before = (work_dir / 'leaderboard.html').read_text()
    assert '<img' in before
    capsys.readouterr()
    assert tool.main(argv) == 0
    assert 'kept from before' in capsys.readouterr().out
    assert (work_dir / 'leaderboard.html').read_text() == before


def test_list_with_a_failing_entry(tool, files, tmp_path, capsys):
    listed = tmp_path / 'list.yaml'
    listed.write_text(
        f'title: Some models\nwork_dir: {tmp_path}/board\n'
        'box_sources: [ground_truth]\nmodels:\n'
        f'- {{name: good, config: {files[0]}, checkpoint: {files[1]}}}\n'
        f'- {{name: bad, config: {files[0]}, checkpoint: no.pth}}\n'
        'pictures: false\n'
    )
    assert tool.main([str(listed), '--resamples', '20']) == 1
    good, bad = read_csv(tmp_path / 'board')
    assert (good['model'], good['failure']) == ('good', '')
    assert bad['failure'] == 'the checkpoint no.pth does not exist'
    assert 'failed: the checkpoint no.pth' in capsys.readouterr().out
    for suffix in ('md', 'html'):
        text = (tmp_path / 'board' / f'leaderboard.{suffix}').read_text()
        assert 'Some models' in text
        assert 'failed: the checkpoint no.pth does not exist' in text
        assert '<img' not in text


@pytest.mark.parametrize(
    'text, argv, said',
    [
        ('models: []', ['--boxes', 'config'], '--boxes: write them into'),
        ('models: []', ['--resamples', '0'], '--resamples 0: at least 1'),
    ],
)
def test_wrong_lists_are_told(tool, tmp_path, refusal, text, argv, said):
    listed = tmp_path / 'list.yaml'
    listed.write_text(text)
    err = refusal(tool.main, listed, *argv)
    assert 'leaderboard.py: error: ' in err and said in err


def test_an_interruption_writes_what_is_there(
    tool, files, tmp_path, capsys, monkeypatch
):
    evaluate_all = tool.evaluate_all

    def interrupted(*args):
        yield next(evaluate_all(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, 'evaluate_all', interrupted)
    argv = [*files, *files, '--work-dir', str(tmp_path / 'board')]
    assert tool.main([*argv, '--resamples', '20']) == 130
    assert 'the same command goes on' in capsys.readouterr().out
    (line,) = read_csv(tmp_path / 'board')
    assert line['AP'] != ''


# A hook that fails in the second process.
FAILING = """
import os
from mmengine.hooks import Hook
from mmpose.registry import HOOKS

@HOOKS.register_module()
class FailingHook(Hook):
    def before_test_iter(self, *args, **kwargs):
        if os.environ.get('RANK') == '1':
            raise RuntimeError('the second broke')
"""


@pytest.fixture
def run_with(files, run_dist, tmp_path):
    """Run a config, some that were changed, and it again."""

    def run_with(*changes):
        config, weights = files
        argv = [config, weights]
        (tmp_path / 'failing.py').write_text(FAILING)
        for number, change in enumerate(changes):
            path = tmp_path / f'bad{number}.py'
            path.write_text(
                (tmp_path / 'tiny.py').read_text()
                + f"custom_imports['imports'] += ['failing']\n{change}\n"
            )
            argv += [str(path), weights]
        argv += [config, weights, '--work-dir', str(tmp_path / 'two')]
        return run_dist(
            'dist_leaderboard.sh',
            '2',
            *argv,
            '--resamples',
            '20',
            PYTHONPATH=str(tmp_path),
        )

    return run_with


def test_failure_of_one_process_before_its_run_is_a_row(
    files, run_with, tmp_path
):
    shutil.copy(tmp_path / 'easy.json', tmp_path / 'only0.json')
    result = run_with(
        "if '{{$RANK:0}}' == '1':\n    raise OSError('the second broke')",
        "test_dataloader['dataset']['ann_file'] = "
        f"'{tmp_path}/only{{{{$RANK:0}}}}.json'",
    )
    assert result.returncode == 1, result.stderr[-3000:]
    first, last, bad, worse = read_csv(tmp_path / 'two')
    assert first['AP'] == last['AP'] != ''
    assert bad['failure'].startswith('process 1: ')
    assert 'the second broke' in bad['failure']
    assert worse['failure'].startswith('process 1: test_dataloader.')
    assert 'there is no file' in worse['failure']
    assert 'only1.json' in worse['failure']


def test_failure_of_one_process_later_ends_all(run_with, tmp_path):
    change = "custom_hooks = [dict(type='FailingHook')]"
    result = run_with(change)
    assert result.returncode == 1, result.stderr[-3000:]
    said = 'process 1 failed: RuntimeError: the second broke (failing.py:'
    assert said in result.stderr
    assert not (tmp_path / 'two' / 'leaderboard.csv').exists()
    runs = (tmp_path / 'two').glob('runs/*/run.json')
    outcomes = [json.loads(path.read_text())['outcome'] for path in runs]
    assert sorted(each is None for each in outcomes) == [False, True]


def test_two_processes_find_what_one_does(tool, files, tmp_path, run_dist):
    argv = [*files, files[0], 'no.pth', '--boxes', 'shift:0.1']
    argv += ['--resamples', '20']
    script = 'dist_leaderboard.sh', '2'
    result = run_dist(*script, *argv, '--work-dir', str(tmp_path / 'two'))
    # torchrun ends so where a process returned 1
    assert result.returncode == 1, result.stderr[-3000:]
    assert tool.main([*argv, '--work-dir', str(tmp_path / 'one')]) == 1
    two, one = read_csv(tmp_path / 'two'), read_csv(tmp_path / 'one')
    assert [line['processes'] for line in two] == ['2', '']
    for ours, theirs in zip(two, one, strict=True):
        for name in ('boxes', 'failure', 'AP', 'AR', 'num_poses', 'gflops'):
            assert ours[name] == theirs[name]
