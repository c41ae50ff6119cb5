"""That the benchmark of MPII's AP runs: its twin lies among the tests."""

import sys


def test_it_finds_its_twin_and_both_agree(
    load_tool, repo_root, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(str(repo_root / 'tools' / 'benchmarks'))
    tool = load_tool('benchmarks/benchmark_mpii_ap')
    argv = ['benchmark', '--groups', '2', '--runs', '1']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == '2' and lines[1].endswith('True')
    # two inputs by four definitions
    totals = [line.split('|')[4:7] for line in lines[5:]]
    assert len(totals) == 8
    assert all(a == b and float(d) < 1e-12 for a, b, d in totals)
