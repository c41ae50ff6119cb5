import base64
import json
import math
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from rmpe_spm.coco.bootstrap import PairedDifference
from rmpe_spm.leaderboard.tables import make_table
from rmpe_spm.leaderboard.writers import to_html

VOID = {'meta', 'img', 'input', 'br'}


class Page(HTMLParser):
    """The tags of a page; complains where they do not close."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.rows, self.tags, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag == 'script':
            self.scripts.append('')
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == 'script':
            self.scripts[-1] += data
        elif 'td' in self.stack or 'th' in self.stack:
            self.rows[-1][-1] += data


@pytest.fixture
def tables(make_row, failed_row, tmp_path):
    picture = tmp_path / '01.jpg'
    picture.write_bytes(b'\xff\xd8jpeg')
    best = make_row(
        '<b>best</b>', 2 / 3, interval=(0.6, 0.75), pictures=[picture]
    )
    second = make_row('second', 0.5, boxes='detections "a".json')
    table = make_table('val & test', [failed_row, second, best], 'AP')
    table.comparisons[0, 1] = PairedDifference(1 / 6, 0.125, 0.25, 0.004)
    return [table, make_table('other', [make_row('alone', 0.25)], 'AP')]


@pytest.fixture
def text(tables):
    return to_html(
        tables, 'A </title>', [('AP', 'what & why'), ('', 'A note.')]
    )


def test_every_row_is_there(text):
    page = Page(text)
    cells = [row for row in page.rows if row]
    assert cells[0][:5] == ['rank', 'model', 'boxes', 'AP', 'AP50']
    assert cells[1][:6] == [
        '1',
        '<b>best</b>',
        'ground truth',
        '0.667',
        '0.767',
        '0.667',
    ]
    assert cells[2][1:3] == ['second', 'detections "a".json']
    assert cells[3] == [
        '-',
        'broken',
        'ground truth',
        'failed: no <checkpoint> | there',
    ]
    assert ['alone', 'ground truth', '0.25', '0.75'] in cells


def test_needs_nothing_else(text):
    assert not re.search(r'https?:|//\w+\.\w|@import|url\(', text)
    page = Page(text)
    for tag, attrs in page.tags:
        assert tag not in ('link', 'iframe', 'object')
        source = attrs.get('src') or 'data:'
        assert source.startswith('data:'), (tag, source)


def test_picture_is_embedded(text):
    sources = [a['src'] for tag, a in Page(text).tags if tag == 'img']
    assert len(sources) == 1
    content = base64.b64decode(sources[0].partition('base64,')[2])
    assert content == b'\xff\xd8jpeg'


def test_pairs_to_compare(text):
    page = Page(text)
    types = [a.get('type') for tag, a in page.tags if tag == 'script']
    data = json.loads(page.scripts[types.index('application/json')])
    assert data['metric'] == 'AP'
    assert data['pairs'] == {'0,1': [1 / 6, 0.125, 0.25, 0.004]}
    options = re.findall(r'<option value="\d+"( selected)?>([^<]+)', text)
    first = '1. <b>best</b>, boxes: ground truth'
    second = '2. second, boxes: detections "a".json'
    assert [(unescape(label), bool(chosen)) for chosen, label in options] == [
        (first, True),
        (second, False),
        (first, False),
        (second, True),
    ]


def test_bar_and_interval(text):
    cell = re.search(r'<td data-value="0\.6666[^\n]*?</td>', text)[0]
    assert '<i style="width:66.67%">' in cell
    assert '<b style="left:60.00%;width:15.00%">' in cell


def test_bars_of_percentages(make_row):
    rows = [make_row('one', 62.5), make_row('two', 0.5)]
    text = to_html([make_table('val', rows, 'AP')], 'T', [])
    widths = re.findall(r'<i style="width:([^"]*)">', text)
    assert widths == ['62.50%', '0.50%']


def test_nan_is_a_missing_value(make_row):
    """Its row is the first, where Python's max would keep it."""
    nothing, good = make_row('nothing', math.nan), make_row('good', 62.5)
    nothing.record.joints['nose'] = math.nan
    table = make_table('val', [nothing, good], 'AP')
    table.rows.reverse()
    text = to_html([table], 'T', [])
    assert re.findall(r'<i style="width:([^"]*)">', text) == ['62.50%']
    assert 'nan' not in text
    row, joints = (cells for cells in Page(text).rows if 'nothing' in cells)
    assert row[3:6] == ['-', '-', '-']
    assert joints[2:] == ['-', '0.75']


def test_definitions(text):
    assert '<dt>AP</dt><dd>what &amp; why</dd>' in text
    assert '<p>A note.</p>' in text


def test_only_failures(failed_row):
    page = Page(to_html([make_table('val', [failed_row], 'AP')], 'T', []))
    assert page.rows[1][1] == 'broken'
