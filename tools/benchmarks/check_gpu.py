#!/usr/bin/env python
"""Check that a GPU trains and predicts as the CPU does, then time it.

Both methods learn from generated pictures: in float32 on the CPU and on the
GPU, and there in mixed precision too. Losses must agree, and so must the
poses that either device predicts with the weights of the mixed training. Then
the benchmarks run on the GPU::

    python tools/benchmarks/check_gpu.py
    python tools/benchmarks/check_gpu.py --device cpu --steps 2 --no-benchmarks

The second line tries the script itself. It ends with exit code 1 where a
number does not agree.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmpose.registry import MODELS
from torch import nn

from rmpe_spm.engine.shipped import SCHEME
from rmpe_spm.markdown import markdown_table
from rmpe_spm.synthetic.people_dataset import generate_dataset

CONFIGS = [
    'configs/spm/generated/'
    'spm_movenet-multipose_windows_1xb8-5e_generated-384x288.py',
    'configs/rmpe/generated/rmpe_mobilenetv2_1xb16-1e_generated-128x96.py',
]
BENCHMARKS = ('sstn', 'spm', 'spm_throughput')
FIRST_LOSS, MIXED_LOSS = 1e-3, 0.1  # largest relative differences
POSES = 0.05  # largest median, in pixels


def batches_of(loader: dict, number: int) -> list[dict]:
    """The first batches of a data loader, and these again and again."""
    loader.update(num_workers=0, persistent_workers=False)
    batches = list(Runner.build_dataloader(loader, seed=0))
    return [batches[index % len(batches)] for index in range(number)]


def learn(
    cfg: Config, batches: list[dict], device: str, wrapper: str
) -> tuple[nn.Module, list[float]]:
    """Train from the same weights; return the model and its losses."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if cfg.load_from.startswith(SCHEME):
        load_checkpoint(model, cfg.load_from, map_location='cpu')
    # weights that were loaded are trained ones, of which a twin is made
    model.load_state_dict(model.state_dict())
    model.to(device).train()
    optimizer = build_optim_wrapper(
        model, dict(cfg.optim_wrapper, type=wrapper)
    )
    losses = []
    for batch in batches:
        with optimizer.optim_context(model):
            found = model(**model.data_preprocessor(batch, True), mode='loss')
        loss, _ = model.parse_losses(found)
        optimizer.update_params(loss)
        losses.append(float(loss.detach()))
    return model.eval(), losses


@torch.no_grad()
def poses_of(model: nn.Module, batches: list[dict]) -> list[np.ndarray]:
    """The poses (N, K, 2) of each picture or box."""
    return [
        sample.pred_instances.keypoints
        for batch in batches
        for sample in model.test_step(batch)
    ]


def distance(first: np.ndarray, second: np.ndarray) -> list[float]:
    """How far each pose is from the nearest one of the other device."""
    if min(len(first), len(second)) == 0:
        return [np.inf] * max(len(first), len(second))
    apart = np.abs(first[:, None] - second[None]).max((2, 3))
    return [*apart.min(0), *apart.min(1)]


def check(cfg: Config, device: str, steps: int) -> tuple[list[str], bool]:
    """Compare the devices; return the cells of a row, and whether all is well.

    They are the losses of the first step on both, the means of the last
    quarter on the device, in float32 and mixed, and the poses' median
    distance in pixels.
    """
    batches = batches_of(cfg.train_dataloader, steps)
    amp = 'BFloat16OptimWrapper'
    if torch.device(device).type == 'cuda':
        amp = 'AmpOptimWrapper'
    _, reference = learn(cfg, batches[:1], 'cpu', 'OptimWrapper')
    _, full = learn(cfg, batches, device, 'OptimWrapper')
    model, mixed = learn(cfg, batches, device, amp)
    late = [np.mean(each[-max(steps // 4, 1) :]) for each in (full, mixed)]
    tests = batches_of(cfg.test_dataloader, 4)
    found, expected = (
        poses_of(model.to(place), tests) for place in (device, 'cpu')
    )
    apart = np.concatenate(list(map(distance, found, expected)))
    median = float(np.median(apart)) if len(apart) else np.nan
    good = (
        abs(full[0] / reference[0] - 1) < FIRST_LOSS
        and abs(late[1] / late[0] - 1) < MIXED_LOSS
        and median < POSES
    )
    numbers = (reference[0], full[0], *late, median)
    return [f'{number:.5g}' for number in numbers], good


def main(argv: list[str] | None = None) -> None:
    """Check, and run the benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--steps', type=int, default=40)
    parser.add_argument('--no-benchmarks', action='store_true')
    args = parser.parse_args(argv)
    init_default_scope('mmpose')
    logging.disable(logging.WARNING)
    # as exact as the CPU
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    rows, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        os.environ['GENERATED'] = f'{folder}/data/'
        generate_dataset(f'{folder}/data', 64, 16, progress=False)
        for path in CONFIGS:
            cells, agrees = check(
                Config.fromfile(path), args.device, args.steps
            )
            rows.append([Path(path).stem, *cells, 'yes' if agrees else 'NO'])
            good = good and agrees
    head = (
        'first loss CPU|first loss|late loss|late loss mixed|poses px|agrees'
    )
    print(markdown_table(['config', *head.split('|')], rows), flush=True)
    if not args.no_benchmarks:
        for name in BENCHMARKS:
            script = Path(__file__).with_name(f'benchmark_{name}.py')
            print(f'\n{script.name}', flush=True)
            command = [sys.executable, script, '--device', args.device]
            subprocess.run(command, check=True)
    if not good:
        sys.exit(1)


if __name__ == '__main__':
    main()
