"""Measure how often a loss pulls theta to where the person is.

Boxes of training people are made worse by a jitter of their sides, and theta
is the identity. For each loss: the share of the crops in which a step against
its gradient moves theta's shift along x, along y, and its scale, towards the
transform that the annotated box asks for. Guessing is right in half of them.
"""

import argparse
import sys

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from torch import Tensor

import rmpe_spm  # noqa: F401
from rmpe_spm.cli.arguments import (
    OptionAction,
    apply_options,
    read_config_file,
)
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.markdown import markdown_table
from rmpe_spm.rmpe import heads
from rmpe_spm.rmpe.parallel_branch import (
    CENTER_LOSSES,
    center_sample,
    joint_distance,
)
from rmpe_spm.rmpe.parallel_sppe import ParallelSPPE
from rmpe_spm.rmpe.theta import params_to_theta

KEPT = (
    'GetBBoxCenterScale',
    'TopdownAffine',
    'TopdownContextAffine',
    'GenerateTarget',
    'GenerateCenterTarget',
    'PackPoseInputs',
)
NAMES = {
    'main': 'main loss',
    'paper': "centre loss, the paper's",
    'pixels': 'joint coordinates through the pixels',
    'heatmaps': 'centre loss, `heatmaps`',
    'coordinates': 'centre loss, `coordinates`',
}


def load_crops(cfg: Config, count: int, jitter: float, seed: int) -> list:
    """Return packed crops of the last people of the training set."""
    dataset_cfg = cfg.train_dataloader.dataset
    steps = list(dataset_cfg.pipeline)
    dataset = DATASETS.build({**dataset_cfg, 'pipeline': []})
    proposals = dict(
        type='PGPGTransform', mode='jitter', jitter_range=jitter, min_iou=0.0
    )
    pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                steps[0],
                proposals,
                *(step for step in steps if step['type'] in KEPT),
            )
        ]
    )
    np.random.seed(seed)  # noqa: NPY002 (the transform draws from it)
    indices = range(len(dataset) - count, len(dataset))
    crops = (pipeline(dataset.get_data_info(index)) for index in indices)
    return [crop for crop in crops if crop is not None]


def losses_of(
    model: ParallelSPPE, inputs: Tensor, samples: list, params: Tensor
) -> dict[str, Tensor]:
    """Return each loss of crops, by theta's parameters (B, 3)."""
    theta = params_to_theta(params, 'scale_shift', model.frame.size)
    warped = model.stn(inputs, theta)
    outputs = heads.forward_in_crop(
        model.head, model.extract_feat(warped), theta, model.frame
    )
    head = heads.head_on_outputs(model.head)
    found = dict(main=head.loss(outputs, samples)['loss_kpt'])
    for name in CENTER_LOSSES:
        model.parallel.center_loss = name
        losses = model.parallel.loss(warped, theta, samples)
        found[name] = losses['loss_center']
    identity = torch.eye(2, 3, device=theta.device).expand_as(theta)
    targets = [center_sample(sample) for sample in samples]
    seen = model.parallel.outputs(warped)
    found['pixels'] = joint_distance(seen, identity, model.frame, targets)
    return found


def shares(model: ParallelSPPE, crops: list, batch: int) -> dict[str, Tensor]:
    """Return the share of right signs of each loss, of x, y and scale."""
    right = {name: [] for name in NAMES}
    asked = []
    for start in range(0, len(crops), batch):
        data = pseudo_collate(crops[start : start + batch])
        data = model.data_preprocessor(data, False)
        inputs, samples = data['inputs'], data['data_samples']
        target = torch.cat(
            [s.gt_instance_labels.center_theta[:1] for s in samples]
        ).cpu()
        error = torch.stack(
            (target[:, 0, 2], target[:, 1, 2], target[:, 0, 0] - 1), 1
        )
        asked.append(error.abs() > 0.02)
        params = inputs.new_tensor([1.0, 0, 0]).repeat(len(samples), 1)
        params.requires_grad_()
        for name, loss in losses_of(model, inputs, samples, params).items():
            (grad,) = torch.autograd.grad(loss, params, retain_graph=True)
            step = -grad.cpu()[:, [1, 2, 0]]
            right[name].append(step.sign() == error.sign())
    asked = torch.cat(asked)
    return {
        name: (torch.cat(signs) & asked).sum(0) / asked.sum(0)
        for name, signs in right.items()
    }


def main(argv: list[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('config', help='config of a ParallelSPPE')
    parser.add_argument('checkpoint', help='weights of its SPPE')
    parser.add_argument('--count', type=int, default=400, help='people')
    parser.add_argument(
        '--jitter', type=float, nargs='+', default=[0.2, 0.4], help='of sides'
    )
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--seed', type=int, default=0, help='of the boxes')
    parser.add_argument('--cfg-options', nargs='+', action=OptionAction)
    args = parser.parse_args(argv)
    init_default_scope('mmpose')
    with report_user_errors('measure_theta_gradients.py'):
        cfg = read_config_file(args.config)
        apply_options(cfg, args)
        cfg.model.update(freeze_sppe=True, parallel=dict())
        model = MODELS.build(cfg.model)
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    model = model.to(args.device).eval()
    model.parallel.make(model, args.device)
    columns = {}
    for jitter in args.jitter:
        crops = load_crops(cfg, args.count, jitter, args.seed)
        columns[jitter] = shares(model, crops, args.batch)
    header = ['gradient of']
    header += [f'{a}, jitter {j:g}' for j in columns for a in ('x', 'y', 's')]
    rows = [
        [label, *(f'{v:.0%}' for c in columns.values() for v in c[name])]
        for name, label in NAMES.items()
    ]
    print(markdown_table(header, rows), end='')


if __name__ == '__main__':
    sys.exit(main())
