"""Measure what RMPE adds to a top-down model, side by side in one process.

- test time: ParallelSPPE as the config has it, and with other localizers,
  over the plain model, backbone to head, without decoding, as one image or a
  batch;
- training step: forward, backward and optimizer step of the config with each
  centre loss, without a parallel branch, and with a frozen SPPE, over the
  plain step.

The plain model and the variants take turns, and the least time of each
counts, so that a busy machine disturbs the ratios least.
"""

import argparse
import logging
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules
from timing import fastest

import rmpe_spm  # noqa: F401
from rmpe_spm.rmpe.parallel_branch import CENTER_LOSSES
from rmpe_spm.rmpe.transforms import context_size

CONFIG = 'configs/rmpe/coco/rmpe_hrnet-w32_8xb64-30e_coco-256x192.py'
RESNET = dict(type='ResNet', depth=18)
MOBILENET = dict(type='MobileNetV2', out_indices=(7,))
# name: backbone, its channels, the share of the crop's side that it sees
LOCALIZERS = {
    'MobileNetV2, last map, half crop': (MOBILENET, 1280, 0.5),
    'ResNet-18, half crop': (RESNET, 512, 0.5),
    'ResNet-18, whole crop': (RESNET, 512, 1.0),
}


def with_localizer(cfg: dict, name: str, size: tuple[int, int]) -> dict:
    """Return the RMPE model with another localizer."""
    cfg = deepcopy(cfg)
    cfg['localizer'], cfg['sstn']['in_channels'], share = LOCALIZERS[name]
    cfg.update(localizer_from_backbone=False)
    cfg['localizer_size'] = tuple(round(n * share) for n in size)
    cfg['sstn']['pool_size'] = tuple(
        -(-n // 32) for n in cfg['localizer_size']
    )
    return cfg


def samples(codec: dict, count: int) -> list:
    """Return data samples with both targets."""
    codec, rng = KEYPOINT_CODECS.build(codec), np.random.default_rng(0)
    batch = []
    for _ in range(count):
        labels, fields, sample = InstanceData(), PixelData(), PoseDataSample()
        labels.center_theta = torch.eye(2, 3)[None]
        for prefix in ('', 'center_'):
            keypoints = rng.uniform(20, 180, (1, 17, 2)).astype(np.float32)
            labels.set_field(torch.from_numpy(keypoints), 'center_keypoints')
            visible = np.ones((1, 17), dtype=np.float32)
            for key, value in codec.encode(keypoints, visible).items():
                target = fields if key == 'heatmaps' else labels
                target.set_field(torch.from_numpy(value), prefix + key)
        sample.gt_instance_labels, sample.gt_fields = labels, fields
        batch.append(sample)
    return batch


def crops(cfg: dict, size: tuple[int, int], batch: int, device: str):
    """Return inputs (B, 3, h, w) as the model's pipeline gives them."""
    width, height = context_size(size, cfg.get('context', 1.0))
    return torch.randn(batch, 3, height, width, device=device)


def race(title: str, runners: dict[str, Callable], repeats: int) -> None:
    """Print the least time of each function, run in turns, and ratios."""
    best = fastest(list(runners.values()), repeats)
    print(f'\n{title}')
    for name, value in zip(runners, best, strict=True):  # the plain one first
        ratio = value / best[0]
        print(f'{name:42s} {value * 1e3:9.1f} ms {ratio:7.3f}', flush=True)


def test_time(model_cfg: dict, size: tuple[int, int], args) -> None:
    """Race the plain model and the localizers at test."""
    cfgs = {'plain': model_cfg['sppe'], "the config's": model_cfg}
    for name in LOCALIZERS:
        cfgs[name] = with_localizer(model_cfg, name, size)

    def runner(cfg: dict) -> Callable:
        model = MODELS.build(cfg).to(args.device).eval()
        inputs = crops(cfg, size, args.batch, args.device)
        return torch.no_grad()(lambda: model(inputs, None, mode='tensor'))

    runners = {name: runner(cfg) for name, cfg in cfgs.items()}
    title = f'Test, batch {args.batch}, {size[0]}x{size[1]}'
    race(title, runners, args.repeats)


def train_time(model_cfg: dict, size: tuple[int, int], args) -> None:
    """Race the plain training step and those with a parallel branch."""
    sppe = model_cfg['sppe']
    detached = {**model_cfg['sstn'], 'detach_theta': True}
    frozen = {**model_cfg, 'sstn': detached, 'freeze_sppe': True}
    cfgs = {'plain': sppe, 'no branch': {**model_cfg, 'parallel': None}}
    for name in CENTER_LOSSES:
        branch = dict(center_loss=name)
        cfgs[f'branch, {name}'] = {**model_cfg, 'parallel': branch}
    cfgs['frozen SPPE, branch'] = {**frozen, 'parallel': {}}
    if model_cfg['sstn'].get('theta_loss'):
        cfgs['frozen SPPE, theta loss alone'] = {**frozen, 'parallel': None}
    batch = args.train_batch
    data = [s.to(args.device) for s in samples(sppe['head']['decoder'], batch)]

    def runner(cfg: dict) -> Callable:
        inputs = crops(cfg, size, batch, args.device)
        model = MODELS.build(cfg).to(args.device).train()
        model.has_loaded_head = True  # random, but not to be refused
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

        def run() -> None:
            optimizer.zero_grad()
            losses = model(inputs, data, mode='loss')
            model.parse_losses(losses)[0].backward()
            optimizer.step()

        return run

    runners = {name: runner(cfg) for name, cfg in cfgs.items()}
    race(f'Training step, batch {batch}', runners, args.train_repeats)


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
    register_all_modules(init_default_scope=True)
    logging.disable(logging.INFO)
    cfg = Config.fromfile(args.config)
    model_cfg = cfg.model.to_dict()
    size = cfg.codec['input_size']
    if args.only != 'train':
        test_time(model_cfg, size, args)
    if args.only != 'test':
        train_time(model_cfg, size, args)


if __name__ == '__main__':
    main()
