"""Time whole SPM models beside DEKR with the same backbone and input.

    python tools/benchmarks/benchmark_spm_throughput.py
    python tools/benchmarks/benchmark_spm_throughput.py --backbone hrnet-w32
    python tools/benchmarks/benchmark_spm_throughput.py --device cuda \
        --batch-size 16 --amp

From the image tensor to poses after the NMS, with no flip test and 30
candidates in every image, everything in one process. The fastest of the
repeats counts. DEKR takes one image at a time; its second row is with the
deformable convolutions of ``GridSampleDEKRHead``, which suit a CPU better
than mmcv's. Also printed: the bare backbone, and the memory of a training
step (on CUDA the peak that is allocated; on CPU what autograd keeps for the
backward pass).
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[2]
DEKR = (
    'mmpose::body_2d_keypoint/dekr/coco/'
    'dekr_hrnet-w32_8xb10-140e_coco-512x512.py'
)
SPM = {
    'hrnet-w32': 'spm_hrnet-w32_8xb10-140e_coco-512x512.py',
    'mobilenetv2': 'spm_mobilenetv2_8xb32-140e_coco-256x256.py',
}
MOBILENET = dict(type='MobileNetV2', out_indices=(1, 2, 4, 6))
JOINTS = 17
GRID = 'DEKR, grid'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0]
    )
    parser.add_argument(
        '--backbone',
        choices=('mobilenetv2', 'hrnet-w32'),
        default='mobilenetv2',
        help='default: %(default)s',
    )
    parser.add_argument(
        '--size', type=int, default=512, help='default: %(default)s'
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='default: %(default)s'
    )
    parser.add_argument('--device', default='cpu', help='default: %(default)s')
    parser.add_argument(
        '--amp', action='store_true', help='half precision by autocast'
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='default: %(default)s'
    )
    parser.add_argument(
        '--repeats', type=int, default=8, help='default: %(default)s'
    )
    return parser.parse_args()


def build(config: Config, args: argparse.Namespace) -> torch.nn.Module:
    model = config.model
    model.backbone.init_cfg = None
    model.head.pop('rescore_cfg', None)
    model.test_cfg.flip_test = False
    if args.backbone != 'hrnet-w32' and 'DEKR' in model.head.type:
        model.backbone = dict(MOBILENET)
        model.head.in_channels = 472
    size = args.size
    model.head.decoder.update(
        input_size=(size, size), heatmap_size=(size // 4, size // 4)
    )
    model = MODELS.build(model)
    # random maps with peaks, so that all candidates are decoded
    for layer in model.head.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.out_channels in (
            1,
            JOINTS + 1,
        ):
            torch.nn.init.normal_(layer.weight, std=1.0)
            torch.nn.init.constant_(layer.bias, 1.0)
    return model.to(args.device)


def make_samples(model: torch.nn.Module, args: argparse.Namespace) -> list:
    rng = np.random.default_rng(0)
    people = rng.uniform(0, args.size, (3, JOINTS, 2)).astype(np.float32)
    encoded = model.head.decoder.encode(people)
    size = np.array([args.size, args.size], dtype=np.float32)
    samples = []
    for _ in range(args.batch_size):
        sample = PoseDataSample(
            metainfo=dict(
                img_path='an image',
                input_size=(args.size, args.size),
                input_center=size / 2,
                input_scale=size,
            )
        )
        sample.gt_fields = PixelData(
            **{key: torch.tensor(value) for key, value in encoded.items()}
        ).to(args.device)
        samples.append(sample)
    return samples


def fastest(run: Callable, args: argparse.Namespace) -> float:
    """Milliseconds of the fastest of some runs."""
    best = np.inf
    for _ in range(args.repeats + 2):
        start = perf_counter()
        run()
        if args.device != 'cpu':
            torch.cuda.synchronize()
        best = min(best, perf_counter() - start)
    return best * 1e3


def training_memory(
    model: torch.nn.Module, samples: list, args: argparse.Namespace
) -> float:
    """MiB of a training step beyond weights and gradients."""
    model.train()
    image = torch.rand(
        args.batch_size, 3, args.size, args.size, device=args.device
    )
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    on_cuda = args.device != 'cpu'
    if on_cuda:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        losses = model(image, samples, mode='loss')
        loss = sum(v for k, v in losses.items() if 'loss' in k)
    size = sum(kept.values())
    loss.backward()
    if on_cuda:
        size = torch.cuda.max_memory_allocated() - before
    model.zero_grad(set_to_none=True)
    model.eval()
    return size / 2**20


def main() -> None:
    args = parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(args.threads)
    register_all_modules()
    import rmpe_spm  # noqa: F401

    MMLogger.get_instance('mmpose', log_level='ERROR')
    torch.manual_seed(0)
    config = ROOT / 'configs/spm/coco' / SPM[args.backbone]
    models = dict(
        SPM=build(Config.fromfile(config), args),
        DEKR=build(get_config(DEKR), args),
    )
    quicker = get_config(DEKR)
    quicker.model.head.type = 'GridSampleDEKRHead'
    models[GRID] = build(quicker, args)
    samples = {name: make_samples(m, args) for name, m in models.items()}
    memory = {
        name: training_memory(model, samples[name], args)
        for name, model in models.items()
    }
    image = torch.rand(
        args.batch_size, 3, args.size, args.size, device=args.device
    )

    # DEKR takes one image at a time
    steps = {'SPM': args.batch_size, 'DEKR': 1, GRID: 1}

    def predict(name):
        def run():
            for i in range(0, args.batch_size, steps[name]):
                part = slice(i, i + steps[name])
                models[name](image[part], samples[name][part], mode='predict')

        return run

    autocast = torch.autocast(
        'cuda' if args.device != 'cpu' else 'cpu', enabled=args.amp
    )
    with torch.inference_mode(), autocast:
        for name in models:
            models[name].eval()
            predict(name)()
            found = len(samples[name][0].pred_instances.keypoints)
            print(f'{name}: {found} poses in an image')
        backbone = fastest(lambda: models['SPM'].backbone(image), args)
        feats = models['SPM'].backbone(image)

        def after_backbone():
            model = models['SPM']
            model.head.predict(
                model.neck(feats), samples['SPM'], model.test_cfg
            )

        rest = fastest(after_backbone, args)
        times = {name: fastest(predict(name), args) for name in models}

    print(
        f'\n{args.backbone} {args.size}x{args.size}, batch '
        f'{args.batch_size}, {args.device}'
        f'{" autocast" if args.amp else f", {args.threads} thread(s)"}'
    )
    print(f'{"":16s}{"ms/batch":>10s}{"images/s":>10s}{"training MiB":>14s}')
    for name, time in {'backbone': backbone, **times}.items():
        rate = args.batch_size * 1e3 / time
        extra = f'{memory[name]:14.0f}' if name in memory else ''
        print(f'{name:16s}{time:10.1f}{rate:10.2f}{extra}')
    kept = memory['SPM'] / memory['DEKR']
    ours = times['SPM']
    print(
        f'Neck, head, decoding and NMS add {100 * rest / backbone:.1f}% to '
        f'the backbone.\nSPM has {times["DEKR"] / ours:.2f}x the rate of '
        f'DEKR, {times[GRID] / ours:.2f}x with the quicker convolution, and '
        f'its training step keeps {kept:.2f}x the memory.'
    )


if __name__ == '__main__':
    main()
