"""Compare localizers: how much of a box's error each can see, and its cost.

Cost: what each localizer adds to an HRNet-w32 at 256x192, one crop at a time,
from the crop to theta, with the STN and the SDTN: parameters, operations and
the least CPU time of one thread, in turns with the model itself.

Teaching, with DATA_ROOT: each localizer learns, directly and alone, the theta
that leads from the crop of a proposal (PGPG) to the crop of the annotated box.
Reported, on the validation images: the mean IoU of the annotated crop with the
proposal's crop and with the crop after theta, the share of the IoU's loss that
is won back, and by how much the sides of the crops are off on average, in
percent of the annotated crop's. In ParallelSPPE theta is taught by the frozen
SPPE instead; what a localizer cannot learn here it cannot learn there.

    python tools/benchmarks/benchmark_localizers.py [DATA_ROOT]
"""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_sstn import CONFIG, without_init
from mmcv.transforms import Compose
from mmengine.config import Config
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from mmpose.structures.bbox import bbox_xyxy2cs
from mmpose.utils import register_all_modules

import rmpe_spm  # noqa: F401
from rmpe_spm.leaderboard.cost import count_gflops, count_parameters
from rmpe_spm.rmpe.sdtn import CropFrame, sdtn_outputs
from rmpe_spm.rmpe.spatial_transformer import warp

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


def side_error(theta: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return how far the sides of a crop are off, in sides of the other."""
    found, true = (
        torch.cat((x[:, 1:] - x[:, :1], x[:, 1:] + x[:, :1]), 1)
        for x in (theta, other)
    )
    return ((found - true).abs() / (2 * other[:, :1])).mean(1)


class Localizer(torch.nn.Module):
    """A localizer and its SSTNHead."""

    def __init__(
        self, cfg: dict, channels: int, fraction: float, crop=SIZE
    ) -> None:
        super().__init__()
        self.crop = crop
        self.size = [round(n * fraction) for n in crop[::-1]]
        self.net = MODELS.build(cfg)
        self.net.init_weights()
        pool = tuple(-(-n // 32) for n in self.size[::-1])
        head = dict(type='SSTNHead', in_channels=channels, pool_size=pool)
        self.sstn = MODELS.build({**head, 'transform': 'scale_shift'})

    def theta(self, images: torch.Tensor) -> torch.Tensor:
        """Return theta of crops after preprocessing."""
        images = F.adaptive_avg_pool2d(images, self.size)
        return self.sstn.regress_theta(self.net(images), self.crop)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (s, tx, ty) of crops in bytes."""
        images = images.float()[:, [2, 1, 0]]
        images -= images.new_tensor(MEAN).view(3, 1, 1)
        images /= images.new_tensor(STD).view(3, 1, 1)
        theta = self.theta(images)
        return torch.stack((theta[:, 0, 0], *theta[:, :, 2].T), 1)


class Added(torch.nn.Module):
    """What RMPE adds to a model at test: localizer, STN and SDTN."""

    def __init__(self, localizer: Localizer, heatmap_size) -> None:
        super().__init__()
        self.localizer = localizer
        self.frame = CropFrame(localizer.crop)
        self.heatmap_size = heatmap_size

    def forward(self, inputs, data_samples=None, mode='tensor'):
        """Return a warped crop and warped heatmaps."""
        theta = self.localizer.theta(inputs)
        theta = self.localizer.sstn.guard(theta, warn=False)
        width, height = self.heatmap_size
        heatmaps = inputs.new_zeros(len(inputs), 17, height, width)
        return warp(inputs, theta), sdtn_outputs(heatmaps, theta, self.frame)


@torch.no_grad()
def report_cost(args: argparse.Namespace) -> None:
    """Print what the localizers add to the model of benchmark_sstn."""
    cfg = Config.fromfile(CONFIG)
    size, maps = cfg.codec['input_size'], cfg.codec['heatmap_size']
    model = MODELS.build(without_init(cfg.model.to_dict())['sppe'])
    models = {'the model itself, HRNet-w32': model.eval()}
    for name, (net, *choice) in localizers(None, None).items():
        models[name] = Added(Localizer(net, *choice, size), maps).eval()
    inputs = torch.randn(1, 3, size[1], size[0])
    best = dict.fromkeys(models, float('inf'))
    for turn in range(args.repeats + 1):  # the first one warms up
        for name, each in models.items():
            start = time.process_time()
            each(inputs, None, mode='tensor')
            seconds = time.process_time() - start
            if turn > 0:
                best[name] = min(best[name], seconds)
    base = next(iter(best.values()))
    print(f'Added at test, batch 1, {size[0]}x{size[1]}')
    for name, each in models.items():
        gflops, _ = count_gflops(each, size)
        print(
            f'{name:40s} {count_parameters(each) / 1e6:6.2f} M '
            f'{gflops:7.3f} GFLOPs {best[name] * 1e3:7.1f} ms '
            f'{best[name] / base:6.1%}',
            flush=True,
        )


def train(model: Localizer, images, thetas, args) -> None:
    """Teach a localizer the thetas."""
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
def evaluate(model: Localizer, images: torch.Tensor) -> torch.Tensor:
    """Return (s, tx, ty) of the validation crops."""
    model.eval()
    return torch.cat([model(part) for part in images.split(32)])


def main() -> None:
    """Run the comparison as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'data_root', nargs='?', help='a folder in the layout of COCO'
    )
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--passes', type=int, default=1)
    parser.add_argument('--every', type=int, default=1)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--mobilenet', help='ImageNet weights of MobileNetV2')
    parser.add_argument('--sppe', help='top-down model with a MobileNetV2')
    parser.add_argument('--names', nargs='*', help='teach only these')
    parser.add_argument('--repeats', type=int, default=20, help='of the cost')
    args = parser.parse_args()
    torch.set_num_threads(1)
    report_cost(args)
    if args.data_root is not None:
        report_teaching(args)


def report_teaching(args: argparse.Namespace) -> None:
    """Teach the localizers and print what they have learned."""
    np.random.seed(args.seed)  # noqa: NPY002 (PGPGTransform draws from it)
    images, thetas = load_crops(args, 'train', args.passes)
    val_images, val_thetas = load_crops(args, 'val', 3)
    whole = torch.tensor([[1.0, 0.0, 0.0]]).expand_as(val_thetas)
    before = crop_iou(whole, val_thetas).mean().item()
    sides = side_error(whole, val_thetas).mean().item()
    print(f'\n{len(images)} crops to learn, {len(val_images)} to validate')
    print(f'{"proposals":40s} IoU {before:.3f}, sides off by {sides:.2%}')
    for name, choice in localizers(args.mobilenet, args.sppe).items():
        if args.names and name not in args.names:
            continue
        torch.manual_seed(args.seed)
        model = Localizer(*choice)
        start = time.process_time()
        train(model, images, thetas, args)
        seconds = time.process_time() - start
        found = evaluate(model, val_images)
        iou = crop_iou(found, val_thetas).mean().item()
        won = (iou - before) / (1 - before)
        sides = side_error(found, val_thetas).mean().item()
        print(
            f'{name:40s} IoU {iou:.3f}, won back {won:5.1%}, '
            f'sides off by {sides:.2%} ({seconds:.0f} s of learning)',
            flush=True,
        )


if __name__ == '__main__':
    main()
