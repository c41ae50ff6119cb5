from pathlib import Path

import yaml

from rmpe_spm.engine.shipped import SCHEME, shipped_models, shipped_weights

# Beginnings of the configs whose models are listed, but for these parts.
LISTED = ('rmpe/*/rmpe_', 'rmpe/*/sstn_', 'spm/*/spm_')
NOT_LISTED = (
    *('spm/ablations/', '_heads', '_flat_', '_hierarchical_'),
    *('_joint-offsets_', '_parent-located_'),
)


def test_index_lists_every_metafile_and_model(repo_root):
    """Every metafile is listed, and names configs that exist, once.

    Of RMPE all last stages are listed, of SPM all but comparisons. The weights
    that ship belong to one model each, with results.
    """
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    metafiles = sorted(repo_root.glob('configs/**/*.yml'))
    listed = [repo_root / path for path in index['Import']]
    assert sorted(listed) == metafiles
    configs, weights = [], []
    for metafile in metafiles:
        content = yaml.safe_load(metafile.read_text())
        collections = {c['Name'] for c in content.get('Collections', [])}
        for model in content['Models']:
            assert (repo_root / model['Config']).is_file(), model['Config']
            assert model['In Collection'] in collections or not collections
            assert Path(model['Config']).stem == model['Name']
            configs.append(repo_root / model['Config'])
            if 'Weights' in model:
                assert model['Weights'].startswith(SCHEME)
                path = shipped_weights(model['Weights'])
                assert path == shipped_weights(model['Alias'])
                weights.append(path.stem)
                assert model['Results'][0]['Metrics']['AP'] > 0
                command = model['Metadata']['Training Command']
                made = ('import_movenet.py', f'train.py {model["Config"]}')
                assert any(f'python tools/{way}' in command for way in made)
    assert len(set(configs)) == len(configs)
    assert sorted(weights) == shipped_models()
    expected = {
        path
        for beginning in LISTED
        for path in repo_root.glob(f'configs/{beginning}*.py')
        if not any(name in path.as_posix() for name in NOT_LISTED)
    }
    assert expected <= set(configs)
    others = {path.stem for path in configs if path not in expected}
    of_spm = [name for name in others if name.startswith('spm')]
    assert len(of_spm) == 1 and of_spm[0].startswith('spm-3d_')
