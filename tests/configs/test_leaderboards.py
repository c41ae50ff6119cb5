from pathlib import Path

import pytest
from config_files import ROOT

from rmpe_spm.leaderboard.spec import read_spec


@pytest.mark.parametrize(
    'path',
    sorted((ROOT / 'configs' / 'leaderboards').glob('*')),
    ids=lambda path: path.stem,
)
def test_lists_name_configs_that_exist(path):
    """And the checkpoints that training them leaves."""
    spec = read_spec(path)
    for model in spec.models:
        config = ROOT / model.config
        assert config.is_file(), model.config
        checkpoint = Path(model.checkpoint)
        # the demo gives each stage a folder of its own
        if checkpoint.parts[:2] != ('work_dirs', 'demo'):
            # a config that only tests in several sizes trains nothing
            trained = config.stem.replace('_multiscale', '')
            assert checkpoint.parent.name == trained
        epochs = checkpoint.stem.removeprefix('epoch_')
        assert f'-{epochs}e_' in config.stem
