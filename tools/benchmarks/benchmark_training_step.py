"""Measure what the hooks for CPUs bring to a training step.

Trains each config's network on one batch of its own data, again and again,
without any hook, with ``ChannelsLastHook``, with ``ReuseMemoryHook`` and with
both. The variants take turns, each in a process of its own, since the C
library does not forget, and the least time of each counts::

    GENERATED=work_dirs/demo/data/ OMP_NUM_THREADS=1 \
        python tools/benchmarks/benchmark_training_step.py
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import HOOKS, MODELS

import rmpe_spm  # noqa: F401

CONFIGS = [
    'configs/spm/generated/spm_mobilenetv2_1xb8-12e_generated-320x256.py',
    'configs/rmpe/generated/pgpg_mobilenetv2_1xb16-8e_generated-128x96.py',
    'configs/spm/generated/dekr_mobilenetv2_1xb8-12e_generated-320x256.py',
]
# mmpose's DEKR refuses channels-last at test, so its configs don't have it
VARIANTS = {
    'no hook': [],
    'channels last': ['ChannelsLastHook'],
    'memory reused': ['ReuseMemoryHook'],
    'both': ['ChannelsLastHook', 'ReuseMemoryHook'],
}


def measure(config: str, hooks: list[str], steps: int) -> dict:
    """Time training steps in this process.

    Returns:
        dict: ``seconds`` of the quickest step, and the ``page_faults`` and
        ``peak_mib`` of this process.
    """
    init_default_scope('mmpose')
    logging.disable(logging.INFO)
    cfg = Config.fromfile(config)
    loader = cfg.train_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    for hook in hooks:
        HOOKS.build(dict(type=hook)).before_run(SimpleNamespace(model=model))
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    seconds, faults = [], 0
    for step in range(2 + steps):
        begin = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        losses = model.loss(**model.data_preprocessor(batch, training=True))
        optim_wrapper.update_params(model.parse_losses(losses)[0])
        if step >= 2:  # the first ones prepare
            seconds.append(time.perf_counter() - begin)
            usage = resource.getrusage(resource.RUSAGE_SELF)
            faults += usage.ru_minflt - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return dict(
        seconds=min(seconds), page_faults=faults / steps, peak_mib=peak
    )


def measure_apart(config: str, hooks: list[str], steps: int) -> dict:
    """:func:`measure` in a new process."""
    command = [sys.executable, __file__, config, '--steps', str(steps)]
    result = subprocess.run(
        [*command, '--measure', *hooks], capture_output=True, text=True
    )
    if result.returncode:
        raise SystemExit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='*', default=CONFIGS)
    parser.add_argument('--steps', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--measure', nargs='*', help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    if args.measure is not None:
        print(json.dumps(measure(args.configs[0], args.measure, args.steps)))
        return
    print('| config | hooks | ms a step | ratio | page faults | peak MiB |')
    print('|---|---|---|---|---|---|')
    for config in args.configs:
        best = {}
        for _ in range(args.rounds):
            for name, hooks in VARIANTS.items():
                own = measure_apart(config, hooks, args.steps)
                if name not in best or own['seconds'] < best[name]['seconds']:
                    best[name] = own
        plain = best['no hook']['seconds']
        for name, own in best.items():
            print(
                f'| {config.rpartition("/")[2]} | {name} '
                f'| {own["seconds"] * 1000:.0f} '
                f'| {own["seconds"] / plain:.2f} '
                f'| {own["page_faults"]:.0f} | {own["peak_mib"]:.0f} |',
                flush=True,
            )


if __name__ == '__main__':
    main()
