"""Compare localisers: how much of a box's error each can see, and its cost.

Each localiser learns, directly and alone, the theta that leads from the crop
of a proposal (PGPG) to the crop of the annotated box. Reported, on the
validation images: the mean IoU of the annotated crop with the proposal's
crop and with the crop after theta, the share of the IoU's loss that is won
back, and the localiser's time. In ParallelSPPE theta is taught by the frozen
SPPE instead; what a localiser cannot learn here it cannot learn there.

    python tools/benchmarks/benchmark_localizers.py DATA_ROOT
"""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from mmpose.structures.bbox import bbox_xyxy2cs
from mmpose.utils import register_all_modules

import rmpe_spm  # noqa: F401

register_all_modules(init_default_scope=True)
logging.disable(logging.INFO)

SIZE, PADDING = (96, 128), 1.25
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def resnet(base_channels: int) -> dict:
    """Return the config of a ResNet-18 of a width."""
    return dict(
        type='ResNet',
        depth=18,
        base_channels=base_channels,
        stem_channels=base_channels,
    )


def localizers(mobilenet: str | None, sppe: str | None) -> dict:
    """Return name to config, channels and fraction of the crop."""
    light = dict(type='MobileNetV2', out_indices=(7,))
    choices = {
        'ResNet-18, quarter width, half crop': (resnet(16), 128, 0.5),
        'ResNet-18, quarter width': (resnet(16), 128, 1),
        'ResNet-18, half width, half crop': (resnet(32), 256, 0.5),
        'ResNet-18, half crop': (resnet(64), 512, 0.5),
        'MobileNetV2, half crop': (light, 1280, 0.5),
    }
    if mobilenet:
        init = dict(type='Pretrained', checkpoint=mobilenet)
        light = {**light, 'init_cfg': init}
        name = 'MobileNetV2 from ImageNet, half crop'
        choices[name] = (light, 1280, 0.5)
    if sppe:
        init = dict(type='Pretrained', checkpoint=sppe, prefix='backbone.')
        light = {**light, 'init_cfg': init}
        choices['MobileNetV2 of an SPPE, half crop'] = (light, 1280, 0.5)
        choices['MobileNetV2 of an SPPE'] = (light, 1280, 1)
    return choices


def load_crops(args: argparse.Namespace, split: str, passes: int) -> tuple:
    """Return crops (N, 3, h, w) and thetas (s, tx, ty) of a split."""
    root = Path(args.data_root)
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(root),
            ann_file=f'annotations/person_keypoints_{split}2017.json',
            data_prefix=dict(img=f'{split}2017/'),
            pipeline=[],
        )
    )
    transforms = [
        dict(type='LoadImage'),
        dict(type='PGPGTransform', mode='global_gaussian', patch_prob=0.0),
        dict(type='GetBBoxCenterScale', padding=PADDING),
        dict(type='TopdownAffine', input_size=SIZE, use_udp=True),
    ]
    pipeline = Compose([TRANSFORMS.build(t) for t in transforms])
    images, thetas = [], []
    order = range(0, len(dataset), args.every if split == 'train' else 1)
    for _ in range(passes):
        for index in order:
            results = pipeline(dataset.get_data_info(index))
            if results is None:
                continue
            center, scale = bbox_xyxy2cs(results['clean_bbox'], PADDING)
            height = max(scale[0, 1], scale[0, 0] * SIZE[1] / SIZE[0])
            crop = results['input_scale']
            shift = 2 * (center[0] - results['input_center']) / crop
            images.append(torch.from_numpy(results['img']).permute(2, 0, 1))
            thetas.append([height / crop[1], *shift])
    return torch.stack(images), torch.tensor(np.array(thetas)).float()


def crop_iou(theta: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the IoU of two crops given as (s, tx, ty) in the same frame."""
    low, high = (
        torch.stack((a[:, 1:] + sign * a[:, :1], b[:, 1:] + sign * b[:, :1]))
        for a, b, sign in ((theta, other, -1), (theta, other, 1))
    )
    inner = (high.amin(0) - low.amax(0)).clamp(min=0).prod(-1)
    areas = (high - low).prod(-1)
    return inner / (areas.sum(0) - inner)


class Localizer(torch.nn.Module):
    """A localiser and its SSTNHead."""

    def __init__(self, cfg: dict, channels: int, fraction: float) -> None:
        super().__init__()
        self.size = [round(n * fraction) for n in SIZE[::-1]]
        self.net = MODELS.build(cfg)
        self.net.init_weights()
        pool = tuple(-(-n // 32) for n in self.size[::-1])
        head = dict(type='SSTNHead', in_channels=channels, pool_size=pool)
        self.sstn = MODELS.build({**head, 'transform': 'scale_shift'})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (s, tx, ty) of crops in bytes."""
        images = images.float()[:, [2, 1, 0]]
        images -= images.new_tensor(MEAN).view(3, 1, 1)
        images /= images.new_tensor(STD).view(3, 1, 1)
        images = F.adaptive_avg_pool2d(images, self.size)
        theta = self.sstn.regress_theta(self.net(images), SIZE)
        return torch.stack((theta[:, 0, 0], *theta[:, :, 2].T), 1)


def train(model: Localizer, images, thetas, args) -> None:
    """Teach a localiser the thetas."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = args.epochs * (len(images) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    for step in range(steps):
        picked = torch.randint(len(images), (args.batch,))
        crops, target = images[picked], thetas[picked].clone()
        if step % 2:  # mirrored
            crops, target[:, 1] = crops.flip(-1), -target[:, 1]
        loss = F.smooth_l1_loss(model(crops), target, beta=0.02)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def evaluate(model: Localizer, images, thetas) -> tuple[float, float]:
    """Return the mean IoU after theta and the milliseconds of a crop."""
    model.eval()
    found = torch.cat([model(part) for part in images.split(32)])
    best = float('inf')
    for _ in range(20):
        start = time.perf_counter()
        model(images[:1])
        best = min(best, time.perf_counter() - start)
    return crop_iou(found, thetas).mean().item(), best * 1e3


def main() -> None:
    """Run the comparison as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data_root', help='a folder in the layout of COCO')
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--passes', type=int, default=1)
    parser.add_argument('--every', type=int, default=1)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--mobilenet', help='ImageNet weights of MobileNetV2')
    parser.add_argument('--sppe', help='top-down model with a MobileNetV2')
    parser.add_argument('--names', nargs='*', help='only these localisers')
    args = parser.parse_args()
    np.random.seed(args.seed)  # noqa: NPY002 (PGPGTransform draws from it)
    images, thetas = load_crops(args, 'train', args.passes)
    val_images, val_thetas = load_crops(args, 'val', 3)
    whole = torch.tensor([[1.0, 0.0, 0.0]]).expand_as(val_thetas)
    before = crop_iou(whole, val_thetas).mean().item()
    print(f'{len(images)} crops to learn, {len(val_images)} to validate')
    print(f'{"proposals":40s} IoU {before:.3f}', flush=True)
    for name, choice in localizers(args.mobilenet, args.sppe).items():
        if args.names and name not in args.names:
            continue
        torch.manual_seed(args.seed)
        model = Localizer(*choice)
        train(model, images, thetas, args)
        iou, milliseconds = evaluate(model, val_images, val_thetas)
        won = (iou - before) / (1 - before)
        print(
            f'{name:40s} IoU {iou:.3f}, won back {won:5.1%}, '
            f'{milliseconds:5.1f} ms a crop',
            flush=True,
        )


if __name__ == '__main__':
    main()
