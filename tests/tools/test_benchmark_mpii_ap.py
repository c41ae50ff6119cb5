"""That the benchmark of MPII's AP runs: its twin lies among the tests."""

import sys


def test_it_finds_its_twin_and_both_agree(load_tool, monkeypatch, capsys):
    tool = load_tool('benchmarks/benchmark_mpii_ap')
    argv = ['benchmark', '--groups', '2', '--runs', '1']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[0] == '2' and line.endswith('True')
