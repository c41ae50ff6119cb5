import yaml


def test_index_lists_every_metafile_and_model(repo_root):
    """Every metafile is listed, and names configs that exist, once.

    Of RMPE all last stages are listed; SPM's test is with its configs.
    """
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    metafiles = sorted(repo_root.glob('configs/**/*.yml'))
    listed = [repo_root / path for path in index['Import']]
    assert sorted(listed) == metafiles
    names, configs = [], []
    for metafile in metafiles:
        content = yaml.safe_load(metafile.read_text())
        collections = {c['Name'] for c in content.get('Collections', [])}
        for model in content['Models']:
            assert (repo_root / model['Config']).is_file(), model['Config']
            assert model['In Collection'] in collections or not collections
            names.append(model['Name'])
            configs.append(repo_root / model['Config'])
    assert len(set(names)) == len(names)
    last_stages = [
        path
        for beginning in ('rmpe', 'sstn')
        for path in repo_root.glob(f'configs/rmpe/*/{beginning}_*.py')
    ]
    assert set(last_stages) <= set(configs)
