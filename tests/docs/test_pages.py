"""What the pages say: their links, commands and pictures are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / 'README.md', *ROOT.glob('docs/**/*.md')]
    + [*ROOT.glob('configs/**/*.md')]
)


def _read(path):
    return path.read_text(encoding='utf-8')


def _anchors(page):
    """The headings of a page, as a link names them."""
    text = re.sub(r'```.*?```', '', _read(page), flags=re.DOTALL)
    headings = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    return {
        re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        for heading in headings
    }


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', _read(page)):
        if target.startswith('http'):
            continue
        path, _, anchor = target.partition('#')
        path = page.parent / path if path else page
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path), target


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_options_of_commands_exist(page):
    text = _read(page)
    named = re.findall(r'\b(?:tools|configs|docs)/[\w./-]+\.\w+', text)
    for path in named:
        if not path.startswith('configs/_base_/'):  # mmpose's
            assert (ROOT / path).exists(), path
    package = '\n'.join(map(_read, ROOT.glob('rmpe_spm/**/*.py')))
    commands = re.findall(r'(tools/[\w/]+\.py)((?:.*\\\n)*.*)', text)
    commands += [
        (f'tools/benchmarks/{name}', rest)
        for name, rest in re.findall(r'`(benchmark_\w+\.py)(.*?)`', text)
    ]
    for tool, rest in commands:
        code = _read(ROOT / tool) + package
        for option in re.findall(r' (--[a-z][\w-]*)', rest):
            assert f"'{option}'" in code, (tool, option)


def test_pages_that_code_and_configs_name_exist():
    files = [
        path
        for pattern in ('configs/**/*.py', 'configs/**/*.y*ml', 'tools/*.py')
        for path in ROOT.glob(pattern)
    ]
    for path in [*files, *ROOT.glob('rmpe_spm/**/*.py')]:
        for page in re.findall(r'docs/[\w/.-]+\.(?:md|html)', _read(path)):
            assert (ROOT / page).exists(), (path, page)


def test_every_picture_is_shown():
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r'!\[[^]]*\]\(([^)]+)\)', _read(page))
    }
    assert shown == set((ROOT / 'docs' / 'images').iterdir())


def test_the_map_is_the_package():
    """Every folder is on it, and every file that the walks name is there."""
    text = _read(ROOT / 'docs' / 'architecture.md')
    package = ROOT / 'rmpe_spm'
    rows = text.split('## The map')[1].split('\n\n')[1].splitlines()[2:]
    listed = [f for row in rows for f in re.findall(r'`(\w+)/`', row)[:2]]
    folders = {path.parent.name for path in package.glob('*/__init__.py')}
    assert folders <= set(listed)
    for path in re.findall(r'`(\w+/\w+\.py)`', text):
        assert (package / path).is_file() or path.startswith('tools/'), path
