import os

import pytest

from rmpe_spm.synthetic.people_dataset import usable_cores


def test_what_the_process_may_use_counts(monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 128)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {3, 7}, False)
    assert usable_cores() == 2
    monkeypatch.delattr(os, 'sched_getaffinity')
    assert usable_cores() == 128


@pytest.mark.skipif(
    not hasattr(os, 'sched_setaffinity'), reason='not on this system'
)
def test_a_process_bound_to_a_core():
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, cores)
