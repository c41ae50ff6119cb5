"""Time SPM's codec beside mmpose's SPR codec and DEKR's decoding.

    python tools/benchmarks/benchmark_spm.py

Encodes people on 128x128 maps with windows of radius 7, and decodes an image
with 30 candidates and a pose NMS, on one core, everything in one process. The
fastest of the repeats counts, and the ratios are what to compare. Encoding in
3D stands beside that in 2D.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from timing import fastest

import rmpe_spm  # noqa: F401 (before mmpose's models: it may lack operators)

INPUT, MAP, RADIUS, JOINTS = (512, 512), (128, 128), 7, 17


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


def milliseconds(run: Callable, repeats: int) -> float:
    return 1e3 * fastest([run], repeats)[0]


def row(name: str, ours: float, theirs: float) -> None:
    print(f'{name:38s}{ours:10.2f}{theirs:12.2f}{theirs / ours:9.1f}x')


def encoding_time(num: int, repeats: int, **codec: Any) -> float:
    """Milliseconds in which a codec encodes some people."""
    arguments = [make_people(num), np.ones((num, JOINTS))]
    if '3D' in codec['type']:
        depths = np.random.default_rng(1).uniform(3e3, 4e3, (num, JOINTS))
        arguments += [depths, 600.0]
    encode = KEYPOINT_CODECS.build(codec).encode
    return milliseconds(partial(encode, *arguments), repeats)


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
        ours = dict(type='HierarchicalSPRCodec', **maps, **options)
        # SPR has no hierarchy, but heatmaps of the joints
        theirs = dict(type='SPR', **maps)
        if 'generate_keypoint_heatmaps' in options:
            theirs.update(options, sigma=(RADIUS, 3))
        row(
            f'{num} people{note}',
            encoding_time(num, 20 * repeats, **ours),
            encoding_time(num, repeats, **theirs),
        )


def benchmark_depths(repeats: int) -> None:
    print(f'\n{"encode, ms":38s}{"in 3D":>10s}{"in 2D":>12s}{"ratio":>10s}')
    maps = dict(input_size=INPUT, heatmap_size=MAP)
    both = dict(depth_locations=('root', 'joint'))
    for num, options, note in (
        (1, {}, ''),
        (5, {}, ''),
        (20, {}, ''),
        (20, both, ', depths at joints too'),
    ):
        solid = dict(type='HierarchicalSPR3DCodec', **maps, **options)
        flat = dict(type='HierarchicalSPRCodec', **maps)
        in_3d, in_2d = (
            encoding_time(num, 20 * repeats, **codec)
            for codec in (solid, flat)
        )
        print(
            f'{f"{num} people{note}":38s}{in_3d:10.2f}{in_2d:12.2f}'
            f'{in_3d / in_2d:9.2f}x'
        )


def build_heads(device: str) -> list:
    """SPM's head and DEKR's, both with keypoint heatmaps."""
    common = dict(
        input_size=INPUT,
        heatmap_size=MAP,
        generate_keypoint_heatmaps=True,
        decode_max_instances=30,
    )
    ours = dict(
        type='SPMHead',
        keypoint_heatmaps=True,
        decoder=dict(type='HierarchicalSPRCodec', **common),
    )
    theirs = dict(
        type='DEKRHead',
        num_heatmap_filters=8,
        num_displacement_filters_per_keypoint=1,
        decoder=dict(type='SPR', sigma=(4, 2), **common),
    )
    return [
        MODELS.build(dict(head, in_channels=8, num_keypoints=JOINTS))
        .to(device)
        .eval()
        for head in (ours, theirs)
    ]


def benchmark_decoding(repeats: int, device: str) -> None:
    ours, theirs = build_heads(device)
    people = make_people(30)
    our_maps, their_maps = (
        [torch.tensor(encoded[key], device=device)[None] for key in keys]
        for keys in [('heatmaps', 'displacements')]
        for encoded in (head.decoder.encode(people) for head in (ours, theirs))
    )
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
    dekr = milliseconds(decode_theirs, 20 * repeats)
    parametric = dict(nms=dict(type='ParametricPoseNMS', preset='coco'))
    for name, config in (
        ('no NMS beside DEKR with NMS', {}),
        ('both with nearby joints NMS', nms),
        ('ParametricPoseNMS beside DEKR with NMS', parametric),
    ):
        row(name, milliseconds(decode_ours(config), 20 * repeats), dekr)
    one, eight = (
        milliseconds(decode_ours({}, batch), 20 * repeats) for batch in (1, 8)
    )
    print(f'batch 8 takes {eight:.2f} ms, {eight / one:.1f}x batch 1')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    text = 'runs of SPR, all others have 20 times as many'
    parser.add_argument('--repeats', type=int, default=5, help=text)
    text = 'where decoding runs'
    parser.add_argument('--device', default='cpu', help=text)
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    benchmark_encoding(args.repeats)
    benchmark_depths(args.repeats)
    with torch.inference_mode():
        benchmark_decoding(args.repeats, args.device)


if __name__ == '__main__':
    main()
