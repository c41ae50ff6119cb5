"""How the benchmarks take time: side by side, and the fastest run counts."""

import time
from collections.abc import Callable, Sequence

import torch


def fastest(
    functions: Sequence[Callable[[], object]],
    repeats: int,
    in_a_row: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds of the fastest run of each function.

    They take turns, so that a busy machine disturbs all alike, and the first
    turn warms up. Of calls ``in_a_row`` the later ones find their data
    cached. Work on a GPU is waited for.
    """
    best = [float('inf')] * len(functions)
    for turn in range(repeats + 1):
        for index, function in enumerate(functions):
            for _ in range(in_a_row if turn else 1):
                start = clock()
                function()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                if turn:
                    best[index] = min(best[index], clock() - start)
    return best
