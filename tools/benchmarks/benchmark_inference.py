"""Compare PoseInferencer with mmpose's inferencer and with the bare network.

    python tools/benchmarks/benchmark_inference.py CONFIG WEIGHTS PICTURES
    python tools/benchmarks/benchmark_inference.py CONFIG WEIGHTS PICTURES \\
        --boxes annotations/person_keypoints_val2017.json

The same model, pictures and, for a top-down model, annotated boxes: from
files to poses, pictures a second. mmpose takes boxes from a detector only, so
``inference_topdown`` stands for its inferencer then. Each row is a process of
its own, for its peak memory. Poses must be equal, or it ends with an error.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from rmpe_spm import OnnxPoseInferencer, PoseInferencer
from rmpe_spm.markdown import markdown_table

ROWS = ('mmpose', 'bare network', 'PoseInferencer', 'OnnxPoseInferencer')
Poses = Iterator[np.ndarray]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument('weights')
    parser.add_argument('pictures', type=Path, help='a folder')
    parser.add_argument('--boxes', type=Path, help="COCO's annotations")
    parser.add_argument('--number', type=int, default=100, help='of pictures')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--row', choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument('--scratch', type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def read_boxes(path: Path | None, pictures: list[Path]) -> list | None:
    """Boxes (N, 4) in xyxy of each picture, in COCO's annotations."""
    if path is None:
        return None
    content = json.loads(path.read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    boxes = defaultdict(list)
    for person in content['annotations']:
        if not person['iscrowd']:
            x, y, w, h = person['bbox']
            boxes[names[person['image_id']]].append((x, y, x + w, y + h))
    return [
        np.float32(boxes[each.name]).reshape(-1, 4) for each in pictures
    ]  # fmt: skip


def mmposes(
    args: argparse.Namespace, pictures: list[Path], boxes: list | None
) -> Poses:
    """mmpose's own functions, ready to go."""
    from mmpose.apis import Pose2DInferencer, inference_topdown, init_model

    if boxes is None:
        inferencer = Pose2DInferencer(args.config, args.weights, 'cpu')
        names = [str(each) for each in pictures]
        return (
            np.reshape([p['keypoints'] for p in people], (-1, 17, 2))
            for result in inferencer(names, batch_size=args.batch_size)
            for people in result['predictions']
        )
    model = init_model(args.config, args.weights, 'cpu', cfg_options={})
    samples = (
        inference_topdown(model, str(path), own) if len(own) else []
        for path, own in zip(pictures, boxes, strict=True)
    )
    return (
        np.reshape([s.pred_instances.keypoints for s in own], (-1, 17, 2))
        for own in samples
    )


def measure(args: argparse.Namespace) -> dict:
    """Run one row in this process."""
    pictures = sorted(
        each for each in args.pictures.iterdir() if each.suffix == '.jpg'
    )[: args.number]
    boxes = read_boxes(args.boxes, pictures)
    inferencer = None
    if args.row != 'mmpose':
        inferencer = PoseInferencer(
            config=args.config,
            weights=args.weights,
            device='cpu',
            batch_size=args.batch_size,
        )
    if inferencer is None:
        poses = mmposes(args, pictures, boxes)
    elif args.row == 'bare network':
        # what it computes alone: inputs are made before the clock starts
        batches = []
        forward = inferencer.model.test_step
        inferencer.model.test_step = lambda batch: (
            batches.append(batch) or forward(batch)
        )
        list(inferencer(pictures, boxes))
        poses = (forward(batch) for batch in batches)
    else:
        if args.row == 'OnnxPoseInferencer':
            from rmpe_spm.inference.export import export_onnx

            path = args.scratch / 'model.onnx'
            export_onnx(inferencer, path)
            inferencer = OnnxPoseInferencer(
                path,
                batch_size=args.batch_size,
                num_threads=torch.get_num_threads(),
            )
        poses = (each.keypoints for each in inferencer(pictures, boxes))
    start = time.perf_counter()
    found = list(poses)
    passed = time.perf_counter() - start
    if args.row != 'bare network':
        np.savez(args.scratch / f'{args.row}.npz', *found)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return dict(rate=len(pictures) / passed, memory=memory)


def largest_difference(scratch: Path, row: str) -> float:
    """Of joints from PoseInferencer's, in pixels."""
    ours, theirs = (
        np.load(scratch / f'{name}.npz').values()
        for name in ('PoseInferencer', row)
    )
    return max(
        float(np.abs(a - b).max(initial=0)) if a.shape == b.shape else np.inf
        for a, b in zip(ours, theirs, strict=True)
    )


def main() -> int:
    args = parse_args()
    if args.row:
        cv2.setNumThreads(torch.get_num_threads())
        print('\n' + json.dumps(measure(args)))
        return 0
    table, rates = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for row in ROWS:
            command = [sys.executable, *sys.argv, '--row', row]
            command += ['--scratch', scratch]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True
            )
            measured = json.loads(done.stdout.splitlines()[-1])
            rates[row] = measured['rate']
            table.append([
                row,
                f'{measured["rate"]:.2f}',
                f'{measured["rate"] / rates["mmpose"]:.2f}',
                f'{measured["memory"]:.0f}',
            ])  # fmt: skip
        differences = {
            row: largest_difference(Path(scratch), row)
            for row in ('mmpose', 'OnnxPoseInferencer')
        }
    head = ['', 'pictures a second', 'of mmpose', 'peak memory, MB']
    print(markdown_table(head, table))
    print(f'largest differences of joints, in pixels: {differences}')
    return int(max(differences.values()) > 0.1)


if __name__ == '__main__':
    sys.exit(main())
