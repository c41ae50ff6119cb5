import yaml

from rmpe_spm.engine.shipped import SCHEME, shipped_models, shipped_weights


def test_index_lists_every_metafile_and_model(repo_root):
    """Every metafile is listed, and names configs that exist, once.

    Of RMPE all last stages are listed; SPM's test is with its configs. The
    weights that ship belong to one model each, with results.
    """
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    metafiles = sorted(repo_root.glob('configs/**/*.yml'))
    listed = [repo_root / path for path in index['Import']]
    assert sorted(listed) == metafiles
    names, configs, weights = [], [], []
    for metafile in metafiles:
        content = yaml.safe_load(metafile.read_text())
        collections = {c['Name'] for c in content.get('Collections', [])}
        for model in content['Models']:
            assert (repo_root / model['Config']).is_file(), model['Config']
            assert model['In Collection'] in collections or not collections
            names.append(model['Name'])
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
    assert len(set(names)) == len(names)
    assert sorted(weights) == shipped_models()
    last_stages = [
        path
        for beginning in ('rmpe', 'sstn')
        for path in repo_root.glob(f'configs/rmpe/*/{beginning}_*.py')
    ]
    assert set(last_stages) <= set(configs)
