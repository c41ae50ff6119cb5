"""Time SPM's codec beside mmpose's SPR codec and DEKR's decoding.

    python tools/benchmarks/benchmark_spm.py

Encodes people on 128x128 maps with windows of radius 7, and decodes an image
with 30 candidates and a pose NMS, on one core, everything in one process. The
fastest of the repeats counts, and the ratios are what to compare.
"""

import argparse
import warnings
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules

INPUT, MAP, RADIUS, JOINTS = (512, 512), (128, 128), 7, 17


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0]
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=5,
        help='runs of SPR, all others have 20 times as many '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--device',
        default='cpu',
        help='where decoding runs (default: %(default)s)',
    )
    return parser.parse_args()


def make_people(num: int) -> np.ndarray:
    """Poses (num, 17, 2) spread over the input, in input pixels."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(num)))
    grid = np.arange(num)
    centers = np.stack((grid % side, grid // side), axis=-1) + 0.5
    centers = centers / side * np.array(INPUT) + rng.uniform(-5, 5, (num, 2))
    offsets = rng.uniform(-50, 50, (num, JOINTS, 2))
    offsets -= offsets.mean(axis=1, keepdims=True)
    return (centers[:, None] + offsets).astype(np.float32)


def fastest(run: Callable, repeats: int, device: str = 'cpu') -> float:
    """Milliseconds of the fastest of some runs."""
    best = np.inf
    for _ in range(repeats + 1):
        if device != 'cpu':
            torch.cuda.synchronize()
        start = perf_counter()
        run()
        if device != 'cpu':
            torch.cuda.synchronize()
        best = min(best, perf_counter() - start)
    return best * 1e3


def row(name: str, ours: float, theirs: float) -> None:
    print(f'{name:38s}{ours:10.2f}{theirs:12.2f}{theirs / ours:9.1f}x')


def benchmark_encoding(repeats: int) -> None:
    print(f'{"encode, ms":38s}{"SPM":>10s}{"mmpose SPR":>12s}{"ratio":>10s}')
    maps = dict(input_size=INPUT, heatmap_size=MAP, sigma=RADIUS)
    for num, options, note in (
        (1, {}, ''),
        (5, {}, ''),
        (20, {}, ''),
        (20, dict(displacement_location='parent'), ', around parents'),
        (20, dict(generate_joint_offsets=True), ', joint offsets too'),
        (20, dict(generate_keypoint_heatmaps=True), ', joint heatmaps too'),
    ):
        # SPR has no hierarchy, but heatmaps of the joints
        shared = {k: v for k, v in options.items() if 'heatmaps' in k}
        if shared:
            shared['sigma'] = RADIUS, 3
        ours = KEYPOINT_CODECS.build(
            dict(type='HierarchicalSPRCodec', tau=RADIUS, **maps, **options)
        )
        theirs = KEYPOINT_CODECS.build(dict(type='SPR', **(maps | shared)))
        people, visible = make_people(num), np.ones((num, JOINTS))
        row(
            f'{num} people{note}',
            fastest(lambda: ours.encode(people, visible), 20 * repeats),  # noqa: B023
            fastest(lambda: theirs.encode(people, visible), repeats),  # noqa: B023
        )


def build_heads(device: str) -> tuple:
    """SPM's head and DEKR's, both with keypoint heatmaps."""
    common = dict(
        input_size=INPUT,
        heatmap_size=MAP,
        generate_keypoint_heatmaps=True,
        decode_max_instances=30,
    )
    ours = dict(
        type='SPMHead',
        in_channels=8,
        num_keypoints=JOINTS,
        keypoint_heatmaps=True,
        decoder=dict(type='HierarchicalSPRCodec', **common),
    )
    theirs = dict(
        type='DEKRHead',
        in_channels=8,
        num_keypoints=JOINTS,
        num_heatmap_filters=8,
        num_displacement_filters_per_keypoint=1,
        decoder=dict(type='SPR', sigma=(4, 2), **common),
    )
    return tuple(
        MODELS.build(head).to(device).eval() for head in (ours, theirs)
    )


def benchmark_decoding(repeats: int, device: str) -> None:
    ours, theirs = build_heads(device)
    people = make_people(30)

    def encode(codec, key):
        return torch.tensor(codec.encode(people)[key], device=device)[None]

    keys = ('heatmaps', 'displacements')
    our_maps = tuple(encode(ours.decoder, key) for key in keys)
    their_maps = tuple(encode(theirs.decoder, key) for key in keys)
    sample = PoseDataSample(metainfo=dict(img_path='an image'))
    nms = dict(nms_dist_thr=0.05)

    def decode_ours(config, batch=1):
        maps = tuple(m.repeat(batch, 1, 1, 1) for m in our_maps)
        ours.forward = lambda feats: maps
        return lambda: ours.predict(None, [sample] * batch, config)

    def decode_theirs():
        heatmaps, displacements = their_maps
        return theirs.decode([heatmaps], [displacements], nms, {})

    for head in (decode_ours(nms)()[0], decode_theirs()[0]):
        if len(head.keypoints) != 30:
            raise RuntimeError(f'{len(head.keypoints)} of 30 people decoded')
    title = f'decode 30 people, ms, {device}'
    print(f'\n{title:38s}{"SPM":>10s}{"DEKR":>12s}{"ratio":>10s}')
    dekr = fastest(decode_theirs, 20 * repeats, device)
    for name, config in (
        ('no NMS beside DEKR with NMS', dict()),
        ('both with nearby joints NMS', nms),
        (
            'ParametricPoseNMS beside DEKR with NMS',
            dict(nms=dict(type='ParametricPoseNMS', preset='coco')),
        ),
    ):
        time = fastest(decode_ours(config), 20 * repeats, device)
        row(name, time, dekr)
    one, eight = (
        fastest(decode_ours({}, batch), 20 * repeats, device)
        for batch in (1, 8)
    )
    print(f'batch 8 takes {eight:.2f} ms, {eight / one:.1f}x batch 1')


def main() -> None:
    args = parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    register_all_modules()
    import rmpe_spm  # noqa: F401

    benchmark_encoding(args.repeats)
    with torch.inference_mode():
        benchmark_decoding(args.repeats, args.device)


if __name__ == '__main__':
    main()
