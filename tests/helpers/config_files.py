"""Configs of the repository, made small, and a step of training with them."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmpose.registry import MODELS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[2]

_parse = cache(Config.fromfile)


def read_config(path):
    """A config, to be changed at will.

    Args:
        path (str | Path): Its path, absolute or from the repository's root.
    """
    return deepcopy(_parse(ROOT / path))


def documented_config(page, path):
    """The config of a page of the documentation, written to a path."""
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    path.write_text(
        text.split('<!-- config -->\n```python\n')[1].split('```')[0]
    )
    return Config.fromfile(path)


def make_small(node, **sizes):
    """Drop pretrained weights and set sizes of a config, in place."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ('init_cfg', 'checkpoint'):
                node[key] = None
            elif key in sizes:
                node[key] = sizes[key]
            else:
                make_small(value, **sizes)
    elif isinstance(node, (list, tuple)):
        for value in node:
            make_small(value, **sizes)


def run_pipeline(dataloader, samples):
    """A batch of samples that need not be loaded."""
    pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in dataloader.dataset.pipeline
            if not step['type'].startswith('LoadImage')
        ]
    )
    np.random.seed(0)  # noqa: NPY002 (mmpose's transforms use it)
    return pseudo_collate([pipeline(sample) for sample in samples])


def build_model(cfg):
    """A model in training, on weights that count as trained."""
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    state = model.state_dict()
    twin = (cfg.model.get('parallel') or {}).get('sppe')
    if twin is not None:
        twin = MODELS.build(twin).state_dict()
        state.update({f'parallel_sppe.{k}': v for k, v in twin.items()})
    model.load_state_dict(state)
    return model


def train_step(cfg, model, batch):
    """Take a step of training; return the losses.

    The config says whether parameters stay without a gradient, at which
    several processes would stop.
    """
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    parsed, _ = model.parse_losses(losses)
    assert parsed.isfinite()
    optimizer.backward(parsed)
    unused = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert bool(unused) == cfg.get('find_unused_parameters', False), unused
    optimizer.step()
    return losses
