import yaml


def test_index_lists_every_metafile_and_model(repo_root):
    """Every metafile is listed, and names configs that exist, once."""
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    metafiles = sorted(repo_root.glob('configs/**/*.yml'))
    listed = [repo_root / path for path in index['Import']]
    assert sorted(listed) == metafiles
    names = []
    for metafile in metafiles:
        content = yaml.safe_load(metafile.read_text())
        collections = {c['Name'] for c in content.get('Collections', [])}
        for model in content['Models']:
            assert (repo_root / model['Config']).is_file(), model['Config']
            assert model['In Collection'] in collections or not collections
            names.append(model['Name'])
    assert len(set(names)) == len(names)
