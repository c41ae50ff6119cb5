"""Reading ahead, and batches across pictures."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmpe_spm.inference.inputs import Picture
from rmpe_spm.inference.streaming import read_ahead, run_batches


def stream(number, taken=None):
    for index in range(number):
        if taken is not None:
            taken.append(index)
        yield Picture(np.zeros((1, 1, 3), np.uint8), 'a', index)


def wait_until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError('waited in vain')


def test_it_reads_ahead_in_order_within_bounds():
    taken = []
    ahead = read_ahead(stream(20, taken=taken))
    assert next(ahead).index == 0
    wait_until(lambda: len(taken) == 6)  # 4 wait, one is to be put
    time.sleep(0.02)
    assert len(taken) == 6
    assert [picture.index for picture in ahead] == list(range(1, 20))


def test_the_thread_ends_with_the_consumer():
    before = set(threading.enumerate())
    ahead = read_ahead(stream(1000))
    next(ahead)
    (thread,) = set(threading.enumerate()) - before
    ahead.close()
    assert not thread.is_alive()


def test_errors_arrive_after_what_came_before():
    def broken():
        yield from stream(3)
        raise ValueError('broken')

    ahead = read_ahead(broken())
    assert [next(ahead).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match='broken'):
        next(ahead)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=12),
    st.integers(1, 5),
)
def test_batches_hold_one_shape_and_results_keep_their_order(items, size):
    batches = []

    def forward(samples):
        batches.append(samples)
        return [f'result of {sample}' for sample in samples]

    given_items = [
        (picture, [(picture.index, place, shape) for place, shape in
                   enumerate(shapes)])
        for picture, shapes in zip(stream(len(items)), items, strict=True)
    ]  # fmt: skip
    found = list(run_batches(given_items, forward, lambda s: s[2], size))
    assert [picture.index for picture, _ in found] == list(range(len(items)))
    for (_, results), (_, samples) in zip(found, given_items, strict=True):
        assert results == [f'result of {sample}' for sample in samples]
    assert all(len(batch) <= size for batch in batches)
    assert all(len({sample[2] for sample in batch}) == 1 for batch in batches)


def test_batches_are_full_where_shapes_are_equal():
    sizes = []

    def forward(samples):
        sizes.append(len(samples))
        return samples

    people = [3, 0, 5, 1, 2]
    items = zip(stream(5), map(range, people), strict=True)
    list(run_batches(items, forward, lambda sample: 0, 4))
    assert sizes == [4, 4, 3]


@pytest.mark.parametrize('size', [1, 4])
def test_a_picture_waits_for_no_more_than_a_batch_of_others(size):
    taken = []
    items = ((p, [p.index]) for p in stream(50, taken=taken))
    # every picture has a shape of its own
    found = run_batches(items, list, lambda index: index, size)
    for index, (picture, _) in enumerate(found):
        assert picture.index == index and len(taken) <= index + size
