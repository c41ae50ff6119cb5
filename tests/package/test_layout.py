import ast
import re

# What each folder may import from, beside itself and the modules that stand
# beside the folders (errors, files, markdown, oks, ...).
USES = {
    'leaderboard': {'cli', 'coco', 'engine', 'experiments', 'mpii'},
    'experiments': {'cli', 'coco', 'engine', 'mpii', 'pose_nms', 'rmpe'},
    'inference': {'cli', 'coco', 'engine', 'pose_nms', 'rmpe', 'spm'},
    'cli': {'coco', 'mpii', 'rmpe'},
    'pose_nms': {'coco'},
    'backbones': set(),
    'coco': set(),
    'engine': set(),
    'mpii': {'coco'},
    'panoptic': set(),
    'rmpe': {'backbones'},
    'spm': {'backbones'},
    'synthetic': set(),
}


def _imports(package):
    """The modules of the package that each of its modules imports."""
    modules = {
        path.relative_to(package).with_suffix('').parts: path
        for path in sorted(package.glob('**/*.py'))
    }
    found = {}
    for name, path in modules.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = tuple((node.module or '').split('.'))
            if node.level:
                base = name[: len(name) - node.level] + base * bool(
                    node.module
                )
            elif base[0] == 'rmpe_spm':
                base = base[1:]
            else:
                continue
            for alias in node.names:
                submodule = (*base, alias.name)
                target = submodule if submodule in modules else base
                if target not in modules:
                    target = (*base, '__init__')
                assert target in modules, (name, ast.unparse(node))
                found[name].add(target)
    return found


def test_imports_go_down(repo_root):
    for name, imported in _imports(repo_root / 'rmpe_spm').items():
        if len(name) == 1:
            assert name[0] in ('__init__', '__main__') or all(
                len(other) == 1 for other in imported
            )
            continue
        folders = {other[0] for other in imported if len(other) > 1}
        assert folders <= USES[name[0]] | {name[0]}, name


def test_no_imports_in_a_circle(repo_root):
    imports = _imports(repo_root / 'rmpe_spm')
    left = set(imports)
    while left:
        free = {name for name in left if not imports[name] & left}
        assert free, sorted(left)
        left -= free


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
