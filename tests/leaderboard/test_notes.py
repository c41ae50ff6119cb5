from rmpe_spm.leaderboard.report import make_notes
from rmpe_spm.leaderboard.tables import make_table


def test_says_what_there_is(make_row):
    row = make_row(interval=(0.4, 0.6))
    notes = make_notes([make_table('val', [row], 'AP')], 321)
    assert '321 resamples' in notes
    assert 'PCK@0.1' in notes
    assert 'different devices' not in notes
    for line in notes.splitlines():
        assert not line or line.startswith('- **')


def test_says_nothing_of_what_is_not_there(failed_row, make_row):
    row = make_row()
    row.record.joints = {}
    notes = make_notes([make_table('val', [failed_row, row], 'AP')], 321)
    assert 'resamples' not in notes
    assert 'PCK' not in notes


def test_devices(make_row):
    other = make_row('other')
    other.record.device = 'GPU'
    table = make_table('val', [make_row(), other], 'AP')
    assert 'different devices' in make_notes([table], 100)
