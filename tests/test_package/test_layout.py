import re


def test_every_module_has_a_test(repo_root):
    """``x.py`` of the package has a ``test_x.py`` somewhere."""
    tested = {
        path.stem.removeprefix('test_')
        for path in repo_root.glob('tests/**/test_*.py')
    }
    missing = [
        str(path.relative_to(repo_root))
        for path in sorted((repo_root / 'rmpe_spm').glob('**/*.py'))
        if path.stem not in {*tested, '__init__', 'version'}
    ]
    assert not missing


def test_no_registry_is_named(repo_root):
    """Where packages come from is the business of who installs them."""
    files = [*repo_root.glob('requirements/*.txt'), repo_root / 'Makefile']
    files += [*repo_root.glob('tools/*.py'), *repo_root.glob('.ci/*')]
    for path in files:
        text = path.read_text(encoding='utf-8')
        for word in ('index-url', 'find-links', 'trusted-host', '://'):
            assert word not in text, (path, word)
        host = re.search(r'[\w-]\.(org|com|net)\b', text)
        assert host is None, (path, host)
