#!/usr/bin/env python
"""Check that heads of SPM learn: 16 pictures by heart within some steps.

A sound set-up finds the people of the pictures that it is trained on. Each
config's network is trained on whole pictures without augmentation, by the
config's optimiser at a learning rate that rises and falls once, and tested on
the same pictures::

    COCO_MINI=.../coco_mini/ python tools/benchmarks/check_overfit.py
    python tools/benchmarks/check_overfit.py CONFIG --steps 600 \
        --cfg-options codec.missing_parent=skip

It ends with exit code 1 where an AP is below 0.95.
"""

import argparse
import itertools
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmpose.registry import METRICS, MODELS
from torch.optim.lr_scheduler import OneCycleLR

from rmpe_spm import ChannelsLastHook
from rmpe_spm.cli.arguments import add_cfg_options
from rmpe_spm.markdown import markdown_table

CONFIGS = [
    'configs/spm/coco/spm_movenet-multipose_8xb10-140e_coco-256x256.py',
    'configs/spm/coco_mini/'
    'spm_mobilenetv2_windows_1xb8-16e_coco_mini-256x256.py',
]
GOAL, PICTURES, SIZE = 0.95, 16, (256, 256)
LARGE, JOINTS = 96**2, 8  # COCO's large people, with more labelled joints
KEPT = ('LoadImage', 'GenerateTarget', 'BottomupGetCrowdMask', 'Pack')


def choose_pictures(source: Path, path: Path) -> None:
    """Write the annotations of the first pictures of large people alone.

    Of small ones a joint would have to be found to a fraction of a cell.
    """
    content = json.loads(source.read_text(encoding='utf-8'))
    people = {image['id']: [] for image in content['images']}
    for person in content['annotations']:
        people[person['image_id']].append(person)
    content['images'] = [
        image
        for image in content['images']
        if people[image['id']]
        and all(
            person['area'] > LARGE and person['num_keypoints'] > JOINTS
            for person in people[image['id']]
        )
    ][:PICTURES]
    content['annotations'] = sum(
        (people[image['id']] for image in content['images']), []
    )
    path.write_text(json.dumps(content), encoding='utf-8')


def whole_pictures(cfg: Config, root: Path, path: Path) -> None:
    """Train on whole pictures as they are, and test on the same."""
    stride = cfg.codec.input_size[0] // cfg.codec.heatmap_size[0]
    cells = tuple(side // stride for side in SIZE)
    codec = dict(cfg.codec, input_size=SIZE, heatmap_size=cells)
    cfg.model.head.decoder = codec
    affine = dict(type='BottomupRandomAffine', input_size=SIZE)
    affine.update(scale_type='long', shift_prob=0, scale_prob=0, rotate_prob=0)
    train = cfg.train_dataloader.dataset
    kept = [step for step in train.pipeline if step['type'].startswith(KEPT)]
    for step in kept:
        if 'encoder' in step:
            step['encoder'] = codec
    train.pipeline = [kept[0], affine, *kept[1:]]
    test = cfg.test_dataloader.dataset
    test.pipeline[1].update(input_size=SIZE, resize_mode='fit')
    images = dict(img='train2017/')
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(root), ann_file=str(path), data_prefix=images
        )
    cfg.test_evaluator.ann_file = str(path)
    cfg.model.test_cfg.flip_test = False


def learn(cfg: Config, steps: int) -> torch.nn.Module:
    """Train a network for some steps."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (mmpose's transforms use it)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    model.init_weights()
    if cfg.get('load_from'):
        load_checkpoint(model, cfg.load_from, map_location='cpu')
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    rates = [group['lr'] for group in optimizer.param_groups]
    schedule = OneCycleLR(
        optimizer.optimizer,
        rates,
        total_steps=steps,
        pct_start=0.1,
        cycle_momentum=False,
    )
    epochs = itertools.chain.from_iterable(itertools.repeat(loader))
    for batch in itertools.islice(epochs, steps):
        with optimizer.optim_context(model):
            data = model.data_preprocessor(batch, True)
            losses = model(**data, mode='loss')
        optimizer.update_params(model.parse_losses(losses)[0])
        schedule.step()
    return model.eval()


@torch.no_grad()
def average_precision(model: torch.nn.Module, cfg: Config) -> float:
    """The AP on the pictures."""
    loader = Runner.build_dataloader(cfg.test_dataloader)
    metric = METRICS.build(cfg.test_evaluator)
    metric.dataset_meta = loader.dataset.metainfo
    for batch in loader:
        samples = [sample.to_dict() for sample in model.test_step(batch)]
        metric.process(batch, samples)
    return next(iter(metric.evaluate(len(loader.dataset)).values()))


def main(argv: list[str] | None = None) -> None:
    """Train and test as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='*', default=CONFIGS)
    parser.add_argument(
        '--data-root', type=Path, default=os.environ.get('COCO_MINI', '.')
    )
    parser.add_argument('--steps', type=int, default=300)
    add_cfg_options(parser, 'the configs')
    args = parser.parse_args(argv)
    init_default_scope('mmpose')
    logging.disable(logging.WARNING)
    root = args.data_root.resolve()
    rows, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'chosen.json'
        name = 'annotations/person_keypoints_train2017.json'
        choose_pictures(root / name, path)
        for config in args.configs:
            cfg = Config.fromfile(config)
            cfg.merge_from_dict(args.cfg_options or {})
            whole_pictures(cfg, root, path)
            start = time.perf_counter()
            ap = average_precision(learn(cfg, args.steps), cfg)
            minutes = (time.perf_counter() - start) / 60
            row = [Path(config).stem, args.steps, f'{ap:.3f}']
            rows.append([*row, f'{minutes:.1f}'])
            good = good and ap >= GOAL
    print(markdown_table(['config', 'steps', 'AP', 'minutes'], rows))
    if not good:
        sys.exit(1)


if __name__ == '__main__':
    main()
