"""Time SPM's codec beside mmpose's SPR codec and DEKR's decoding.

    python tools/benchmarks/benchmark_spm.py

Encodes people on 128x128 maps with windows of radius 7, and decodes an image
with 30 candidates and a pose NMS, on one core, everything in one process. The
fastest of the repeats counts, and the ratios are what to compare. Encoding in
3D stands beside that in 2D.
"""

import argparse
import warnings
from functools import partial

import numpy as np
import torch
from mmpose.structures import PoseDataSample
from timing import fastest

import rmpe_spm  # noqa: F401 (before mmpose's models: it may lack operators)
from rmpe_spm.markdown import markdown_table

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


def beside(first: str, second: str, rows: dict, repeats: int) -> str:
    """The times of pairs of functions by name, as a table."""
    table = []
    for name, functions in rows.items():
        ours, theirs = fastest(functions, repeats)
        times = [f'{1e3 * each:.2f} ms' for each in (ours, theirs)]
        table.append([name, *times, f'{theirs / ours:.2f}'])
    return markdown_table(['', first, second, 'ratio'], table)


def benchmark_encoding(repeats: int) -> str:
    from mmpose.registry import KEYPOINT_CODECS

    maps = dict(input_size=INPUT, heatmap_size=MAP, sigma=RADIUS)
    codecs = [
        KEYPOINT_CODECS.build(dict(maps, type=kind))
        for kind in ('HierarchicalSPRCodec', 'SPR')
    ]
    rows = {}
    for num in (1, 5, 20):
        people = make_people(num), np.ones((num, JOINTS))
        runs = [partial(codec.encode, *people) for codec in codecs]
        rows[f'encode {num} people'] = runs
    return beside('SPM', "mmpose's SPR", rows, repeats)


def benchmark_depths(repeats: int) -> str:
    from mmpose.registry import KEYPOINT_CODECS

    maps = dict(input_size=INPUT, heatmap_size=MAP)
    flat, solid = (
        KEYPOINT_CODECS.build(dict(type=kind, **maps)).encode
        for kind in ('HierarchicalSPRCodec', 'HierarchicalSPR3DCodec')
    )
    rows = {}
    for num in (1, 5, 20):
        people, visible = make_people(num), np.ones((num, JOINTS))
        depths = np.random.default_rng(1).uniform(3e3, 4e3, visible.shape)
        rows[f'encode {num} people'] = [
            partial(flat, people, visible),
            partial(solid, people, visible, depths, 600.0),
        ]
    return beside('in 2D', 'in 3D', rows, repeats)


def build_heads(device: str) -> list:
    """SPM's head and DEKR's, both with keypoint heatmaps."""
    from mmpose.registry import MODELS

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


def benchmark_decoding(repeats: int, device: str) -> str:
    ours, theirs = build_heads(device)
    people = make_people(30)
    our_maps, their_maps = (
        [torch.tensor(encoded[key], device=device)[None] for key in keys]
        for keys in [('heatmaps', 'displacements')]
        for encoded in (head.decoder.encode(people) for head in (ours, theirs))
    )
    sample = PoseDataSample(metainfo=dict(img_path='an image'))
    nms = dict(nms_dist_thr=0.05)

    ours.forward = lambda feats: tuple(our_maps)

    def decode_ours(config):
        return lambda: ours.predict(None, [sample], config)

    def decode_theirs():
        heatmaps, displacements = their_maps
        return theirs.decode([heatmaps], [displacements], nms, {})

    for head in (decode_ours(nms)()[0], decode_theirs()[0]):
        if len(head.keypoints) != 30:
            raise RuntimeError(f'{len(head.keypoints)} of 30 people decoded')
    parametric = dict(nms=dict(type='ParametricPoseNMS', preset='coco'))
    rows = {
        'no NMS beside DEKR with NMS': {},
        'both with nearby joints NMS': nms,
        'ParametricPoseNMS beside DEKR with NMS': parametric,
    }
    rows = {
        name: [decode_ours(config), decode_theirs]
        for name, config in rows.items()
    }
    return beside(f'SPM, 30 people, {device}', 'DEKR', rows, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--repeats', type=int, default=20)
    text = 'where decoding runs'
    parser.add_argument('--device', default='cpu', help=text)
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    print(benchmark_encoding(args.repeats))
    print(benchmark_depths(args.repeats))
    with torch.inference_mode():
        print(benchmark_decoding(args.repeats, args.device))


if __name__ == '__main__':
    main()
