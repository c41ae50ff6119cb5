"""Time whole SPM models beside DEKR with the same backbone and input.

    python tools/benchmarks/benchmark_spm_throughput.py
    python tools/benchmarks/benchmark_spm_throughput.py --backbone hrnet-w32

From the image tensor to poses after the NMS, with no flip test and 30
candidates in every image, everything in one process. The fastest of the
repeats counts. DEKR takes one image at a time; its second row is with the
deformable convolutions of ``GridSampleDEKRHead``, which suit a CPU better
than mmcv's.
"""

import argparse
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from benchmark_spm import JOINTS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from timing import fastest

ROOT = Path(__file__).resolve().parents[2]
DEKR = (
    'mmpose::body_2d_keypoint/dekr/coco/'
    'dekr_hrnet-w32_8xb10-140e_coco-512x512.py'
)
SPM = {
    'hrnet-w32': 'spm_hrnet-w32_8xb10-140e_coco-512x512.py',
    'mobilenetv2': 'spm_mobilenetv2_8xb32-140e_coco-256x256.py',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--backbone', choices=list(SPM), default='mobilenetv2')
    parser.add_argument('--size', type=int, default=512)
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--repeats', type=int, default=8)
    return parser.parse_args()


def build(config: Config, args: argparse.Namespace) -> torch.nn.Module:
    model = config.model
    model.backbone.init_cfg = None
    model.head.pop('rescore_cfg', None)
    model.test_cfg.flip_test = False
    if args.backbone != 'hrnet-w32' and 'DEKR' in model.head.type:
        model.backbone = dict(type='MobileNetV2', out_indices=(1, 2, 4, 6))
        model.head.in_channels = 472
    size = args.size
    model.head.decoder.update(
        input_size=(size, size), heatmap_size=(size // 4, size // 4)
    )
    model = MODELS.build(model)
    # random maps with peaks, so that all candidates are decoded
    for layer in model.head.modules():
        channels = getattr(layer, 'out_channels', None)
        if channels in (1, JOINTS + 1) and hasattr(layer, 'weight'):
            torch.nn.init.normal_(layer.weight, std=1.0)
            torch.nn.init.constant_(layer.bias, 1.0)
    return model.to(args.device).eval()


def main() -> None:
    args = parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    init_default_scope('mmpose')
    MMLogger.get_instance('mmpose', log_level='ERROR')
    torch.manual_seed(0)
    quicker = get_config(DEKR)
    quicker.model.head.type = 'GridSampleDEKRHead'
    configs = {
        'SPM': Config.fromfile(ROOT / 'configs/spm/coco' / SPM[args.backbone]),
        'DEKR': get_config(DEKR),
        'DEKR, grid': quicker,
    }
    models = {name: build(cfg, args) for name, cfg in configs.items()}
    size = args.size, args.size
    image = torch.rand(args.batch_size, 3, *size, device=args.device)
    region = np.array(size, dtype=np.float32)
    samples = [
        PoseDataSample(
            metainfo=dict(
                img_path='an image',
                input_size=size,
                input_center=region / 2,
                input_scale=region,
            )
        )
        for _ in range(args.batch_size)
    ]

    def predict(name: str) -> None:
        # DEKR takes one image at a time
        step = args.batch_size if name == 'SPM' else 1
        for i in range(0, args.batch_size, step):
            part = slice(i, i + step)
            models[name](image[part], samples[part], mode='predict')

    with torch.inference_mode():
        for name in models:
            predict(name)
            found = len(samples[0].pred_instances.keypoints)
            print(f'{name}: {found} poses in an image')
        model = models['SPM']
        feats = model.backbone(image)
        runs = {
            'backbone': partial(model.backbone, image),
            **{name: partial(predict, name) for name in models},
            'rest': lambda: model.head.predict(
                model.neck(feats), samples, model.test_cfg
            ),
        }
        seconds = fastest(list(runs.values()), args.repeats)
        times = dict(zip(runs, seconds, strict=True))
        rest = times.pop('rest')

    print(
        f'\n{args.backbone} {args.size}x{args.size}, batch '
        f'{args.batch_size}, {args.device}\n'
        f'{"":16s}{"ms/batch":>10s}{"images/s":>10s}'
    )
    for name, spent in times.items():
        rate = args.batch_size / spent
        print(f'{name:16s}{1e3 * spent:10.1f}{rate:10.2f}')
    share = 100 * rest / times['backbone']
    slow, quick = (times[name] / times['SPM'] for name in list(models)[1:])
    print(
        f'Neck, head, decoding and NMS add {share:.1f}% to the backbone.\n'
        f'SPM has {slow:.2f}x the rate of DEKR, {quick:.2f}x with the quicker '
        'convolution.'
    )


if __name__ == '__main__':
    main()
