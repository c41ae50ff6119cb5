"""Measure what RMPE adds to a top-down model, side by side in one process.

- test time: ParallelSPPE with each localizer over the plain model, backbone
  to head, without decoding, as one image or a batch;
- training step: forward, backward and optimizer step with a parallel branch
  of the main SPPE's size, of half its depth and of half its width, over the
  plain step.

The plain model and the variants take turns, and the least time of each
counts, so that a busy machine disturbs the ratios least.
"""

import argparse
import logging
import time
from copy import deepcopy

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules

import rmpe_spm  # noqa: F401

register_all_modules(init_default_scope=True)
logging.disable(logging.INFO)

CONFIG = 'configs/rmpe/coco/rmpe_hrnet-w32_8xb64-30e_coco-256x192.py'
TEST_LIMIT, SAME_LIMIT, HALF_LIMIT = 1.12, 1.8, 1.5


def resnet(base_channels: int) -> tuple[dict, int]:
    """Return a ResNet-18 of a width and its channels."""
    cfg = dict(
        type='ResNet',
        depth=18,
        base_channels=base_channels,
        stem_channels=base_channels,
    )
    return cfg, 8 * base_channels


LOCALIZERS = {
    'ResNet-18': resnet(64),
    'ResNet-18 half width': resnet(32),
    'ResNet-18 quarter width': resnet(16),
    'MobileNetV2': (dict(type='MobileNetV2', out_indices=(7,)), 1280),
    'MobileNetV2 half width': (
        dict(type='MobileNetV2', widen_factor=0.5, out_indices=(6,)),
        160,
    ),
}


def without_init(node):
    """Return a config without pretrained weights."""
    if isinstance(node, dict):
        return {
            key: None if key == 'init_cfg' else without_init(value)
            for key, value in node.items()
        }
    return node


def with_localizer(cfg: dict, name: str, fraction: float, size) -> dict:
    """Return the RMPE model with another localizer."""
    cfg = deepcopy(cfg)
    cfg['localizer'], cfg['sstn']['in_channels'] = LOCALIZERS[name]
    cfg['localizer_size'] = tuple(round(n * fraction) for n in size)
    cfg['sstn']['pool_size'] = tuple(
        -(-n // 32) for n in cfg['localizer_size']
    )
    return cfg


def half_depth(sppe: dict) -> dict:
    """Return the HRNet of half the modules of a config's HRNet."""
    sppe = deepcopy(sppe)
    for stage in sppe['backbone']['extra'].values():
        stage['num_modules'] = (stage['num_modules'] + 1) // 2
        stage['num_blocks'] = [
            n if stage['num_modules'] > 1 else n // 2
            for n in stage['num_blocks']
        ]
    return sppe


def half_width(sppe: dict) -> dict:
    """Return the HRNet of half the width of a config's HRNet."""
    sppe = deepcopy(sppe)
    for stage in sppe['backbone']['extra'].values():
        if len(stage['num_channels']) > 1:
            stage['num_channels'] = [c // 2 for c in stage['num_channels']]
    sppe['head']['in_channels'] //= 2
    return sppe


def samples(codec: dict, count: int) -> list:
    """Return data samples with both targets."""
    codec, rng = KEYPOINT_CODECS.build(codec), np.random.default_rng(0)
    batch = []
    for _ in range(count):
        labels, fields, sample = InstanceData(), PixelData(), PoseDataSample()
        for prefix in ('', 'center_'):
            keypoints = rng.uniform(20, 180, (1, 17, 2)).astype(np.float32)
            visible = np.ones((1, 17), dtype=np.float32)
            for key, value in codec.encode(keypoints, visible).items():
                target = fields if key == 'heatmaps' else labels
                target.set_field(torch.from_numpy(value), prefix + key)
        sample.gt_instance_labels, sample.gt_fields = labels, fields
        batch.append(sample)
    return batch


def race(runners: dict, repeats: int, device: str) -> dict:
    """Return the least seconds of each function, run in turns."""
    best = dict.fromkeys(runners, float('inf'))
    for turn in range(repeats + 1):  # the first one warms up
        for name, run in runners.items():
            sync(device)
            start = time.perf_counter()
            run()
            sync(device)
            seconds = time.perf_counter() - start
            if turn > 0:
                best[name] = min(best[name], seconds)
    return best


def sync(device: str) -> None:
    """Wait for the device."""
    if device.startswith('cuda'):
        torch.cuda.synchronize()


def report(title: str, seconds: dict, limits: dict) -> None:
    """Print times and ratios to the first entry."""
    print(f'\n{title}')
    base = next(iter(seconds.values()))
    for name, value in seconds.items():
        limit = f'  (at most {limits[name]:.2f})' if name in limits else ''
        print(f'{name:44s} {value * 1e3:9.1f} ms {value / base:7.3f}{limit}')


def test_time(model_cfg: dict, size, args: argparse.Namespace) -> None:
    """Race the plain model and the localizers at test."""
    plain = MODELS.build(model_cfg['sppe']).to(args.device).eval()
    models = {'plain': plain}
    for name in LOCALIZERS:
        for fraction in (1.0, 0.5):
            cfg = with_localizer(model_cfg, name, fraction, size)
            model = MODELS.build(cfg).to(args.device).eval()
            models[f'{name}, crop x {fraction}'] = model
    inputs = torch.randn(args.batch, 3, size[1], size[0], device=args.device)

    def runner(model):
        def run():
            with torch.no_grad():
                model(inputs, None, mode='tensor')

        return run

    seconds = race(
        {name: runner(model) for name, model in models.items()},
        args.repeats,
        args.device,
    )
    limits = dict.fromkeys(list(seconds)[1:], TEST_LIMIT)
    report(f'Test, batch {args.batch}, {size[0]}x{size[1]}', seconds, limits)
    print('\nLocalizer parameters')
    for name, model in list(models.items())[1::2]:
        count = sum(p.numel() for p in model.localizer.parameters())
        print(f'{name:44s} {count / 1e6:9.2f} M')


def train_time(model_cfg: dict, size, args: argparse.Namespace) -> None:
    """Race the plain training step and those with a parallel branch."""
    sppe = model_cfg['sppe']
    halves = {
        'parallel of half the depth': half_depth(sppe),
        'parallel of half the width': half_width(sppe),
    }
    cfgs = {
        'plain': sppe,
        'SSTN alone': {**model_cfg, 'parallel': None},
        'parallel of the same size': model_cfg,
    }
    limits = {'parallel of the same size': SAME_LIMIT}
    for name, half in halves.items():
        cfgs[name] = {**model_cfg, 'parallel': dict(sppe=half)}
        limits[name] = HALF_LIMIT
    batch = args.train_batch
    inputs = torch.randn(batch, 3, size[1], size[0], device=args.device)
    codec = model_cfg['sppe']['head']['decoder']
    data = [s.to(args.device) for s in samples(codec, batch)]

    def runner(model):
        model = model.to(args.device).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

        def run():
            optimizer.zero_grad()
            losses = model(inputs, data, mode='loss')
            model.parse_losses(losses)[0].backward()
            optimizer.step()

        return run

    seconds = race(
        {name: runner(MODELS.build(cfg)) for name, cfg in cfgs.items()},
        args.train_repeats,
        args.device,
    )
    report(f'Training step, batch {batch}', seconds, limits)


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--config', default=CONFIG)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--train-batch', type=int, default=4)
    parser.add_argument('--train-repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--only', choices=['test', 'train'])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    model_cfg = without_init(cfg.model.to_dict())
    size = cfg.codec['input_size']
    if args.only != 'train':
        test_time(model_cfg, size, args)
    if args.only != 'test':
        train_time(model_cfg, size, args)


if __name__ == '__main__':
    main()
