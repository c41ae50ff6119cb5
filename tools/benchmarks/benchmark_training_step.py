"""Measure what ``ChannelsLastHook`` brings to a training step on a CPU.

Trains each config's network on one batch of its own data, again and again,
without the hook and with it. The variants take turns, and the least time of
each counts::

    GENERATED=work_dirs/demo/data/ OMP_NUM_THREADS=1 \
        python tools/benchmarks/benchmark_training_step.py
"""

import argparse
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS

from rmpe_spm import ChannelsLastHook

CONFIGS = [
    'configs/spm/generated/spm_mobilenetv2_1xb8-12e_generated-320x256.py',
    'configs/rmpe/generated/pgpg_mobilenetv2_1xb16-8e_generated-128x96.py',
    'configs/spm/generated/dekr_mobilenetv2_1xb8-12e_generated-320x256.py',
]


def make_step(cfg: Config, channels_last: bool) -> Callable[[], None]:
    """Return a function that trains the config's network for one step."""
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    if channels_last:
        ChannelsLastHook().before_run(SimpleNamespace(model=model))
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)

    def step() -> None:
        losses = model.loss(**model.data_preprocessor(batch, training=True))
        optim_wrapper.update_params(model.parse_losses(losses)[0])

    step()  # the first one prepares
    return step


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='*', default=CONFIGS)
    parser.add_argument('--steps', type=int, default=24)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    init_default_scope('mmpose')
    logging.disable(logging.INFO)
    print('| config | ms a step | with ChannelsLastHook | ratio |')
    print('|---|---|---|---|')
    for path in args.configs:
        cfg = Config.fromfile(path)
        cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
        steps = [make_step(cfg, variant) for variant in (False, True)]
        best = [float('inf')] * 2
        for _ in range(args.steps):
            for variant, step in enumerate(steps):
                begin = time.perf_counter()
                step()
                seconds = time.perf_counter() - begin
                best[variant] = min(best[variant], seconds)
        print(
            f'| {path.rpartition("/")[2]} | {best[0] * 1000:.0f} '
            f'| {best[1] * 1000:.0f} | {best[1] / best[0]:.2f} |',
            flush=True,
        )


if __name__ == '__main__':
    main()
