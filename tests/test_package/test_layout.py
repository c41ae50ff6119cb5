import ast
import re


def test_tests_mirror_the_package(repo_root):
    """``a/b/x.py`` of the package has ``test_a/test_b/test_x.py``."""
    package, tests = repo_root / 'rmpe_spm', repo_root / 'tests'
    missing = []
    for module in sorted(package.glob('**/*.py')):
        if module.stem not in ('__init__', 'version'):
            parts = module.relative_to(package).parts
            test = tests.joinpath(*(f'test_{part}' for part in parts))
            if not test.is_file():
                missing.append(str(test.relative_to(repo_root)))
    assert not missing


def test_dependencies_point_one_way(repo_root):
    """Parts know the structures alone, ``apis`` knows all parts."""
    package = repo_root / 'rmpe_spm'
    wrong = []
    for path in sorted(package.glob('*/**/*.py')):
        folder = path.relative_to(package).parts[:-1]
        if folder[0] == 'apis':
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split('.') for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or '').split('.')]
                if node.level:
                    above = folder[: len(folder) - node.level + 1]
                    names = [('rmpe_spm', *above, *names[0])]
            for name in names:
                known = (folder[0], 'structures')
                if name[0] == 'rmpe_spm' and name[1] not in known:
                    wrong.append((str(path.relative_to(package)), name[1]))
    assert not wrong


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
