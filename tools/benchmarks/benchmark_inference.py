"""Compare PoseInferencer with mmpose's inferencer and with the bare network.

    python tools/benchmarks/benchmark_inference.py CONFIG WEIGHTS PICTURES
    python tools/benchmarks/benchmark_inference.py CONFIG WEIGHTS PICTURES \\
        --boxes annotations/person_keypoints_val2017.json

The same model, without a test of mirrored pictures, the same pictures and, for
a top-down model, annotated boxes in the place of mmpose's detector: from
files to poses in one process, one after the other, the fastest of the
repeats, in seconds of CPU, so that other work on the machine does not count.
The bare network takes inputs that were made before; ``rmpe-spm predict``
draws and writes too. How far joints are apart is printed: median, 99th
percentile and maximum. The peak memory is a row's own where ``--rows`` names
that row alone.
"""

import argparse
import contextlib
import io
import json
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from timing import fastest

from rmpe_spm import OnnxPoseInferencer, PoseInferencer
from rmpe_spm.inference.command_line import main as rmpe_spm
from rmpe_spm.inference.export import export_onnx
from rmpe_spm.markdown import markdown_table

MMPOSE, BARE, OURS = 'mmpose', 'bare network', 'PoseInferencer'
ONNX, COMMAND = 'OnnxPoseInferencer', 'rmpe-spm predict'
ROWS = (MMPOSE, BARE, OURS, ONNX, COMMAND)
Run = Callable[[], list[np.ndarray]]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add = parser.add_argument
    add('config')
    add('weights')
    add('pictures', type=Path, help='a folder')
    add('--boxes', type=Path, help="COCO's annotations")
    add('--number', type=int, default=100, help='of pictures')
    add('--batch-size', type=int, default=8)
    add('--repeats', type=int, default=3)
    add('--rows', nargs='+', choices=ROWS, default=ROWS)
    return parser.parse_args()


def prepare(row: str, args: argparse.Namespace, scratch: Path) -> Run:
    """What is timed: it gives the poses (N, K, 2) of all pictures."""
    if row == MMPOSE:
        return prepare_mmposes(args)
    if row == COMMAND:
        return prepare_command(args, scratch)
    ours = PoseInferencer(
        config=args.config,
        weights=args.weights,
        device='cpu',
        batch_size=args.batch_size,
    )
    if row == BARE:
        forward, batches = torch.no_grad()(ours.model.test_step), []
        ours.model.test_step = lambda batch: (
            batches.append(batch) or forward(batch)
        )
        list(ours(args.names, args.people))
        return lambda: list(map(forward, batches))
    if row == ONNX:
        export_onnx(ours, scratch / 'model.onnx')
        ours = OnnxPoseInferencer(
            scratch / 'model.onnx',
            batch_size=args.batch_size,
            num_threads=torch.get_num_threads(),
        )
    return lambda: [each.keypoints for each in ours(args.names, args.people)]


def prepare_mmposes(args: argparse.Namespace) -> Run:
    """mmpose's inferencer, with a detector that knows the boxes."""
    from mmpose.apis import Pose2DInferencer  # after rmpe_spm: mmcv-lite

    theirs = Pose2DInferencer(
        args.config, args.weights, 'cpu', det_model='whole_image'
    )
    if args.people is not None:
        known = dict(zip(args.names, args.people, strict=True))
        theirs.det_cat_ids = [0]
        theirs.detector = lambda name, **_: dict(
            predictions=[SimpleNamespace(pred_instances=found(known[name]))]
        )

    def found(boxes: np.ndarray) -> InstanceData:
        # in this order, by which mmpose sorts them
        scores = torch.linspace(1, 0.9, len(boxes))
        boxes, labels = torch.from_numpy(boxes), torch.zeros(len(boxes))
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)

    def run() -> list[np.ndarray]:
        results = theirs(
            args.names, batch_size=args.batch_size, bbox_thr=0, nms_thr=1.1
        )
        people = [each['predictions'][0] for each in results]
        poses = [[person['keypoints'] for person in own] for own in people]
        return [np.reshape(own, (-1, 17, 2)) for own in poses]

    return run


def prepare_command(args: argparse.Namespace, scratch: Path) -> Run:
    """``rmpe-spm predict``, in this process."""
    command = ['predict', *args.names, f'--out-dir={scratch}', '--device=cpu']
    command += [f'--config={args.config}', f'--weights={args.weights}']
    if args.people is not None:
        boxes = [
            dict(image_id=int(Path(name).stem), category_id=1, score=1.0,
                 bbox=[x0, y0, x1 - x0, y1 - y0])
            for name, own in zip(args.names, args.people, strict=True)
            for x0, y0, x1, y1 in own.tolist()
        ]  # fmt: skip
        path = scratch / 'boxes.json'
        path.write_text(json.dumps(boxes))
        command.append(f'--boxes={path}')

    def run() -> list[np.ndarray]:
        with contextlib.redirect_stderr(io.StringIO()):
            rmpe_spm(command)
        return []

    return run


def read_inputs(args: argparse.Namespace) -> None:
    """Set the pictures' ``names`` and the boxes of ``people`` in them."""
    args.names = list(map(str, sorted(args.pictures.glob('*.jpg'))))
    args.people = None
    if args.boxes is not None:
        boxes = defaultdict(list)
        for person in json.loads(args.boxes.read_text())['annotations']:
            x, y, w, h = person['bbox']
            boxes[person['image_id']].append((x, y, x + w, y + h))
        # where nobody is, mmpose takes the whole picture
        args.names = [n for n in args.names if int(Path(n).stem) in boxes]
        args.people = [np.float32(boxes[int(Path(n).stem)])
                       for n in args.names][: args.number]  # fmt: skip
    args.names = args.names[: args.number]


def distances(left: list[np.ndarray], right: list[np.ndarray]) -> list[float]:
    """Median, 99th percentile and maximum of joints' distances in pixels."""
    pairs = list(zip(left, right, strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return [np.inf] * 3
    apart = np.concatenate([np.abs(a - b).ravel() for a, b in pairs])
    return np.quantile(apart, (0.5, 0.99, 1)).tolist()


def main() -> int:
    args = parse_args()
    read_inputs(args)
    cv2.setNumThreads(torch.get_num_threads())
    with tempfile.TemporaryDirectory() as scratch:
        cfg = Config.fromfile(args.config)
        cfg.model.test_cfg.flip_test = False  # exported models leave it out
        args.config = f'{scratch}/config.py'
        cfg.dump(args.config)
        runs = {row: prepare(row, args, Path(scratch)) for row in args.rows}
        poses = {row: run() for row, run in runs.items()}
        best = fastest(
            list(runs.values()), args.repeats, clock=time.process_time
        )
    seconds = dict(zip(runs, best, strict=True))
    table = []
    for row in args.rows:
        rates = [len(args.names), *(seconds[r] for r in args.rows[:2])]
        table.append([row, *(f'{each / seconds[row]:.2f}' for each in rates)])
    head = ['', 'pictures a second', *(f'of {row}' for row in args.rows[:2])]
    print(markdown_table(head, table))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'peak memory: {memory:.0f} MB')
    for row in (OURS, ONNX):
        if {MMPOSE, row} <= poses.keys():
            apart = distances(poses[MMPOSE], poses[row])
            print(f'{row}: joints are {apart} pixels from those of mmpose')
    return 0


if __name__ == '__main__':
    sys.exit(main())
