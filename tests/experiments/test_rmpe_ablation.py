"""Which runs an ablation does, and what becomes of them."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from rmpe_spm.experiments import rmpe_ablation
from rmpe_spm.experiments.rmpe_ablation import ROWS, run_ablation


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Replaces all runs by a note of their arguments."""
    notes = []

    def outcome(work_dir, **kwargs):
        log = Path(work_dir) / 'run.log'
        log.parent.mkdir(parents=True)
        log.write_text(
            f'$ python {log.parent.name}\nEpoch 1\n$ python again\n'
        )
        return SimpleNamespace(log=log, seconds=2.0, **kwargs)

    def train(config, work_dir, seed, load_from=None, validate=True):
        notes.append(('train', Path(config).stem, seed, load_from))
        assert Config.fromfile(config).test_evaluator[0].prefix == 'none'
        assert not validate
        return outcome(work_dir, checkpoint=f'{Path(config).stem}.pth')

    def test(config, checkpoint, work_dir, cfg_options):
        notes.append(('test', Path(config).stem, checkpoint, cfg_options))
        return outcome(work_dir, metrics={'name': Path(work_dir).name})

    def curves(config, checkpoint, folder):
        notes.append(('curves', Path(config).stem, checkpoint, folder.name))
        return [checkpoint]

    monkeypatch.setattr(rmpe_ablation, 'run_training', train)
    monkeypatch.setattr(rmpe_ablation, 'run_test', test)
    monkeypatch.setattr(rmpe_ablation, 'box_curves', curves)
    return notes


def test_rows_share_trainings(runs, tiny_stages, tmp_path):
    (result,) = run_ablation(*tiny_stages, tmp_path / 'work', [3])
    assert [note for note in runs if note[0] == 'train'] == [
        ('train', 'stage1_plain', 3, None),
        ('train', 'stage1_jitter', 3, None),
        ('train', 'stage1_pgpg', 3, None),
        ('train', 'stage2_plain', 3, 'stage1_plain.pth'),
        ('train', 'stage2_jitter', 3, 'stage1_jitter.pth'),
        ('train', 'stage2_pgpg', 3, 'stage1_pgpg.pth'),
        ('train', 'stage2_sstn', 3, 'stage1_pgpg.pth'),
        ('train', 'stage2_parallel', 3, 'stage1_pgpg.pth'),
    ]
    names = ('plain', 'jitter', 'pgpg', 'sstn', 'parallel')
    expected = [
        ('test', f'stage2_{name}', f'stage2_{name}.pth', {}) for name in names
    ]
    oracle = {'test_dataloader.dataset.bbox_file': ''}
    expected.append(('test', 'stage2_parallel', 'stage2_parallel.pth', oracle))
    assert [note for note in runs if note[0] == 'test'] == expected
    assert runs[-2:] == [
        ('curves', 'stage2_plain', 'stage2_plain.pth', 'curves_plain'),
        ('curves', 'stage2_parallel', 'stage2_parallel.pth')
        + ('curves_parallel',),
    ]
    assert result.seed == 3
    for row in ROWS:
        assert result.metrics[row.test] == {'name': row.test}
        for name in row.runs:
            assert result.commands[name] == f'python {name}'
            assert result.seconds[name] == 2


def test_each_seed_has_a_folder(runs, tiny_stages, tmp_path):
    work_dir = tmp_path / 'work'
    results = run_ablation(*tiny_stages, work_dir, [0, 1])
    assert next(results).seed == 0
    done = len(runs)
    assert next(results).seed == 1
    assert len(runs) == 2 * done
    assert sorted(path.name for path in work_dir.iterdir()) == [
        'configs',
        'seed0',
        'seed1',
    ]


def test_options_reach_the_written_configs(runs, tiny_stages, tmp_path):
    options = {'train_dataloader.batch_size': 2}
    list(run_ablation(*tiny_stages, tmp_path / 'work', [0], options))
    paths = list((tmp_path / 'work' / 'configs').iterdir())
    assert len(paths) == 8
    for path in paths:
        assert Config.fromfile(path).train_dataloader.batch_size == 2
