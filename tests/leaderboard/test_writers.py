import base64
import csv
import io
import json
import math
import os
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from rmpe_spm.coco.bootstrap import PairedDifference
from rmpe_spm.leaderboard.measure import Record
from rmpe_spm.leaderboard.tables import make_table
from rmpe_spm.leaderboard.writers import (
    column_notes,
    make_plots,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)

NOTES = [('AP', 'what & why'), ('', 'A note.')]
FOUND = 'detections "a".json'


@pytest.fixture
def tables(make_row, failed_row, tmp_path):
    picture = tmp_path / '01.jpg'
    picture.write_bytes(b'\xff\xd8jpeg')
    best = make_row('<best>', 2 / 3, FOUND)
    best.interval, best.pictures = (0.6, 0.75), [picture]
    best.record.gflops = 50.0
    second = make_row('second', 0.5, FOUND)
    paper = make_row('paper', record=Record({'AP': 0.9}), origin='published')
    paper.source, paper.config, paper.checkpoint = 'https://a.b', '', ''
    table = make_table('val & test', [failed_row, second, paper, best], 'AP')
    table.comparisons[0, 1] = PairedDifference(1 / 6, 0.125, 0.25, 0.004)
    other = make_row('alone', 0.25, data_set='other')
    return [table, make_table('other', [other], 'AP')]


def read_csv(text):
    return {line['model']: line for line in csv.DictReader(io.StringIO(text))}


def test_csv_has_every_number_in_full(tables):
    lines = read_csv(to_csv(tables))
    assert list(lines) == ['<best>', 'second', 'paper', 'broken', 'alone']
    best, second, paper, broken, alone = lines.values()
    assert float(best['AP']) == 2 / 3
    assert float(best['AP50']) == 2 / 3 + 0.1
    assert (best['AP low'], best['AP high']) == ('0.6', '0.75')
    assert best['less best, difference'] == ''
    assert float(second['less best, difference']) == -1 / 6
    assert float(second['less best, low']) == -0.25
    assert second['less best, p_value'] == '0.004'
    assert second['boxes'] == FOUND
    assert (second['parameters'], second['gflops']) == ('1500000', '0.5')
    assert (paper['origin'], paper['source']) == ('published', 'https://a.b')
    assert (paper['AP'], paper['parameters']) == ('0.9', '')
    assert broken['failure'] == 'no <weights> | there'
    assert broken['rank'] == broken['AP'] == broken['gflops'] == ''
    assert alone['data_set'] == 'other' and alone['rank'] == '1'


def test_markdown(tables):
    text = to_markdown(tables, 'Title <script>', NOTES)
    lines = text.splitlines()
    assert lines[0] == '# Title \\<script>'
    start = lines.index('## val & test')
    assert lines[start + 2 : start + 8] == [
        '| rank | model | boxes | AP | 95% | AP50 | AR '
        '| AP less the best, p |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
        f'| 1 | \\<best> | {FOUND} | 0.667 | 0.600 to 0.750 | 0.767 '
        '| 0.667 | best |',
        f'| 2 | second | {FOUND} | 0.500 | - | 0.600 | 0.500 '
        '| -0.167 [-0.250, -0.125], p = 0.004 |',
        '| 1 | paper (published) | ground truth | 0.900 | - | - | - | best |',
        '| - | broken | ground truth | failed: no \\<weights> \\| there '
        '|  |  |  |  |',
    ]
    assert '## other' in lines
    assert lines[-3:] == ['- **AP**: what & why', '', 'A note.']
    costs = (
        f'| second | {FOUND} | 1.50 | 0.500 '
        "| one person's crop of 48x64 | 12.5 ± 0.2 | 300 | CPU | 1 "
        '| 2026-11-24 | `c.py` | `w.pth` (abababab) |'
    )
    assert costs in lines
    # every table has as many cells in each line
    for block in text.split('\n\n'):
        rows = [line for line in block.splitlines() if line[:1] == '|']
        assert len({row.replace('\\|', '').count('|') for row in rows}) <= 1
    tables[0].comparisons[0, 1] = PairedDifference(0.1, 0.1, 0.2, 0.0005)
    assert '0.100], p \\< 0.001 |' in to_markdown(tables, 'Title', [])


def test_latex(tables):
    lines = to_latex(tables).splitlines()
    assert lines[:2] == ['% val & test', r'\begin{tabular}{llrrrrrr}']
    assert lines[5] == (
        r'$<$best$>$ & detections "a".json & 0.667 & 0.767 & 0.667 & 1.500 '
        r'& 50.000 & 12.5 \\'
    )
    assert 'broken' not in str(lines)
    tables[1].rows[0].model = r'50% a_b\c'
    text = to_latex(tables[1:])
    assert r'50\% a\_b\textbackslash{}c & ground truth' in text


def test_a_row_that_is_not_ranked_is_not_the_best(make_row):
    tables = [make_table('val', [make_row()], 'PCK')]
    text = to_markdown(tables, 'Title', [])
    assert '| - | model | ground truth | - | - | 0.500 | 0.600 |' in text
    assert '| best |' not in text


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
        if tag not in ('meta', 'img', 'input', 'br'):
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


def test_page(tables, tmp_path):
    text = to_html(tables, 'A </title> @notes@', NOTES, tmp_path / 'board')
    assert '<h1>A &lt;/title&gt; @notes@</h1>' in text
    page = Page(text)
    head, best, second, paper, broken, *_ = (row for row in page.rows if row)
    assert head[:6] == ['rank', 'model', 'boxes', 'AP', '95%', 'AP50']
    assert best[:3] == ['1', '<best> config checkpoint', FOUND]
    assert best[3:7] == ['0.667', '0.600 to 0.750', '0.767', '0.667']
    assert second[2:5] == [FOUND, '0.500', '-']
    assert paper[1] == 'paper (published) source'
    assert broken[0] == '-' and broken[2] == 'ground truth'
    assert broken[3] == 'failed: no <weights> | there'
    cell = re.search(r'<td data-value="0\.6666[^\n]*?</td>', text)[0]
    assert '<i style="width:66.67%">' in cell
    assert '<b style="left:60.00%;width:15.00%">' in cell
    assert '<dt>AP</dt><dd>what &amp; why</dd>' in text
    assert '<p>A note.</p>' in text
    # needs nothing else
    own = text.replace('href="https://a.b"', '')
    assert not re.search(r'https?:|//\w+\.\w|@import|url\(', own)
    for tag, attrs in page.tags:
        assert tag not in ('link', 'iframe', 'object')
        assert attrs.get('src', 'data:').startswith('data:')
    (source,) = (a['src'] for tag, a in page.tags if tag == 'img')
    content = base64.b64decode(source.partition('base64,')[2])
    assert content == b'\xff\xd8jpeg'
    links = [attrs['href'] for tag, attrs in page.tags if tag == 'a']
    config = os.path.relpath('c.py', tmp_path / 'board')
    assert config in links and 'https://a.b' in links
    kept = [base64.b64decode(link.partition('base64,')[2]) for link in links]
    assert kept[0].decode() == to_csv(tables)
    assert kept[1].decode() == to_latex(tables)


def test_plots(tables):
    """Of the two rows with costs, at 50 and 0.5 GFLOPs; one runs as fast."""
    gflops, speed = make_plots(tables[0])
    assert (gflops.cost, speed.cost) == ('GFLOPs', 'images/s')
    one, two = gflops.points
    assert (one[3], two[3]) == (1, 2)
    margin = math.log(1.5) / math.log(100 * 1.5**2)
    assert (one[0], two[0]) == pytest.approx((1 - margin, margin))
    assert (one[1], two[1]) == pytest.approx((1 / 1.1, 0.75 / 1.1))
    ticks = {text: part for part, text in gflops.x_ticks}
    assert list(ticks) == ['0.5', '1', '2', '5', '10', '20', '50']
    assert (ticks['0.5'], ticks['50']) == pytest.approx((two[0], one[0]))
    assert [text for _, text in gflops.y_ticks] == [
        '0', '0.2', '0.4', '0.6'
    ]  # fmt: skip
    assert [x for x, *_ in speed.points] == pytest.approx([0.5, 0.5])
    assert make_plots(tables[1]) == []
    page = Page(to_html(tables, 'T', []))
    circles = [attrs for tag, attrs in page.tags if tag == 'circle']
    assert len(circles) == 4
    assert float(circles[0]['cx']) == pytest.approx(40 + 370 * one[0], abs=0.1)
    assert float(circles[0]['cy']) == pytest.approx(
        220 - 210 * one[1], abs=0.1
    )


def test_pairs_to_compare(tables):
    text = to_html(tables, 'T', [])
    page = Page(text)
    types = [a.get('type') for tag, a in page.tags if tag == 'script']
    data = json.loads(page.scripts[types.index('application/json')])
    assert data['metric'] == 'AP'
    assert data['pairs'] == {'0,1': [1 / 6, 0.125, 0.25, 0.004]}
    options = re.findall(r'<option value="\d+"( selected)?>([^<]+)', text)
    first = f'1. <best>, boxes: {FOUND}'
    second = f'2. second, boxes: {FOUND}'
    assert [(unescape(label), bool(chosen)) for chosen, label in options] == [
        (first, True),
        (second, False),
        (first, False),
        (second, True),
    ]


def test_bars_of_percentages(make_row):
    rows = [make_row('one', 62.5), make_row('two', 0.5)]
    text = to_html([make_table('val', rows, 'AP')], 'T', [])
    widths = re.findall(r'<i style="width:([^"]*)">', text)
    assert widths == ['62.50%', '0.50%']


def test_nan_is_a_missing_value(make_row):
    """Its row is the first, where Python's max would keep it."""
    nothing, good = make_row('nothing', math.nan), make_row('good', 62.5)
    table = make_table('val', [nothing, good], 'AP')
    table.rows.reverse()
    text = to_html([table], 'T', [])
    assert re.findall(r'<i style="width:([^"]*)">', text) == ['62.50%']
    assert 'nan' not in text
    (row,) = (cells for cells in Page(text).rows if '- ' in cells[0] + ' ')
    assert row[1].startswith('nothing') and row[3:7] == ['-'] * 4
    missing = '| - | nothing | ground truth | - | - | - | - |'
    assert missing in to_markdown([table], 'T', [])
    lines = read_csv(to_csv([table]))
    assert (lines['good']['AP'], lines['nothing']['AP']) == ('62.5', '')


def test_only_failures(failed_row):
    tables = [make_table('val', [failed_row], 'AP')]
    text = to_markdown(tables, 'Title', [])
    assert 'failed: no \\<weights>' in text and 'GFLOPs' not in text
    assert 'broken' in to_csv(tables)
    page = Page(to_html(tables, 'T', []))
    assert page.rows[1][1] == 'broken config checkpoint'


def test_notes_say_what_there_is_and_no_more(make_row, failed_row):
    row = make_row(interval=(0.4, 0.6))
    notes = column_notes([make_table('val', [row], 'AP')], 321)
    assert '321 resamples' in dict(notes)['95%, less the best, p']
    assert all(name for name, _ in notes)
    rows = [failed_row, make_row()]
    notes = column_notes([make_table('val', rows, 'AP')], 321)
    assert 'resamples' not in str(notes)


def test_devices(make_row):
    other, published = make_row('other'), make_row('published')
    published.record.device = ''
    rows = [make_row(), published]
    assert '' not in dict(column_notes([make_table('val', rows, 'AP')], 9))
    other.record.device = 'GPU'
    table = make_table('val', [*rows, other], 'AP')
    assert 'different devices' in dict(column_notes([table], 9))['']
