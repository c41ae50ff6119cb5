from rmpe_spm.markdown import markdown_table, over_seeds


def test_table():
    rows = [['x', 1], ['two\n lines', None], ['<script>', '']]
    assert markdown_table(['a', 'b|c'], rows) == (
        '| a | b\\|c |\n| --- | --- |\n| x | 1 |\n| two lines | None |\n'
        '| \\<script> |  |\n'
    )


def test_over_seeds():
    assert over_seeds([0.5]) == '0.500'
    assert over_seeds([0.2, 0.4]) == '0.300 ± 0.141'
    assert over_seeds([0.1, 0.3], '+.2f') == '+0.20 ± 0.14'
