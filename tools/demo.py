"""Find people in photographs, then train and evaluate RMPE and SPM.

What ``make demo`` runs once the environment is there. The models that ship
with the package predict poses in photographs of installed packages. Then both
methods learn from there to find the people of generated pictures, who look
otherwise, and are tested and drawn. Everything lands in ``work_dirs/demo/``:
``photographs/``, ``results.md`` (the table), one folder a method with logs,
checkpoints and results, and ``pictures/``. What is finished there is not
repeated, so an interrupted demo goes on where it stopped.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

# With mmcv-lite mmpose imports only after this.
import rmpe_spm  # noqa: F401

# isort: split
import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.models import build_pose_estimator

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.errors import RunFailedError
from rmpe_spm.experiments.drawing import draw_results
from rmpe_spm.experiments.tool_runs import (
    RESULTS,
    run_command,
    run_test,
    run_training,
)
from rmpe_spm.files import read_json, write_atomically
from rmpe_spm.inference.drawing import OverlayWriter, PoseDrawer
from rmpe_spm.inference.inferencer import PoseInferencer
from rmpe_spm.inference.inputs import InputStream
from rmpe_spm.inference.stn_drawing import mosaic
from rmpe_spm.inference.web import installed_photographs
from rmpe_spm.markdown import markdown_table
from rmpe_spm.synthetic.people_dataset import generate_dataset, usable_cores

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# method -> the configs that train it, in order: each starts from the last, the
# first from the weights that ship. The last one tests it.
SCHEDULES = {
    'RMPE': [
        'rmpe/generated/pgpg_movenet-lightning_1xb16-4e_generated-192x192.py',
        'rmpe/generated/rmpe_movenet-lightning_1xb16-1e_generated-192x192.py',
    ],
    'SPM': [
        'spm/generated/spm_movenet-multipose_windows_1xb8-5e_generated-384x288.py'
    ],
}
# of the generated pictures, (w, h)
PICTURE_SIZE = (320, 240)
BOX_SOURCE = {'RMPE': 'generated detections', 'SPM': 'none (single stage)'}
COLUMNS = ['method', 'boxes', 'AP', 'AP50', 'AR']
COLUMNS += ['training s', 'test s', 'parameters M']
METRICS = ['coco/AP', 'coco/AP .5', 'coco/AR']


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--work-dir', type=Path, default='work_dirs/demo')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-train', type=int, default=1000)
    parser.add_argument('--num-val', type=int, default=250)
    parser.add_argument(
        '--methods', nargs='+', choices=SCHEDULES, default=list(SCHEDULES)
    )
    return parser.parse_args(argv)


def predict_photographs(methods: list[str], folder: Path) -> None:
    """Draw the poses that the models that ship find in photographs."""
    found = installed_photographs()
    for method in methods:
        inferencer = PoseInferencer(method.lower())
        # people so near to the camera are found with low scores
        drawer = PoseDrawer(inferencer.metainfo, kpt_thr=0.15)
        writer = OverlayWriter(folder, drawer)
        for picture, result in inferencer.with_pictures(InputStream(found)):
            result = result.above(result.scores.max(initial=0) / 2)
            name = f'{Path(picture.name).stem}_{method.lower()}'
            writer.write(picture, result, name)
            print(f'{method}: people in {name}.jpg: {len(result)}')


def count_parameters(config: Path) -> float:
    """Parameters (millions) of the network that runs at test."""
    init_default_scope('mmpose')
    model = build_pose_estimator(Config.fromfile(config).model)
    # The parallel branch is made when training starts, so it is not here.
    return sum(p.numel() for p in model.parameters()) / 1e6


def share_cores(num_methods: int) -> bool:
    """Say whether methods run side by side, and divide the cores.

    So small networks gain little from a second thread, so on a CPU each method
    has its own cores. A GPU is not shared.
    """
    cores = usable_cores()
    if torch.cuda.is_available() or cores < num_methods:
        return False
    # Threads that wait must leave the core to the process that reads pictures.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    os.environ.setdefault('OMP_NUM_THREADS', str(cores // num_methods))
    return True


def train_and_test(method: str, work_dir: Path, seed: int) -> list[str]:
    """Train one method and test it: its row of the table."""
    folder = work_dir / method.lower()
    checkpoint, seconds = None, 0.0
    for stage, name in enumerate(SCHEDULES[method], start=1):
        config = CONFIGS / name
        training = run_training(
            config,
            folder / f'stage{stage}',
            seed,
            load_from=checkpoint,
            arguments=['--no-validate'],
        )
        checkpoint = training.checkpoint
        seconds += training.seconds
    test = run_test(config, checkpoint, folder / 'test')
    cells = [method, BOX_SOURCE[method]]
    cells += [f'{test.metrics[key]:.3f}' for key in METRICS]
    cells += [f'{seconds:.0f}', f'{test.seconds:.0f}']
    return [*cells, f'{count_parameters(config):.2f}']


def run_side_by_side(words: list[str], methods: list[str]) -> None:
    """Run the demo of each method alone, in a process of its own.

    Where one fails the others come to their end first, and are not repeated
    the next time.
    """
    command = [sys.executable, __file__, *words, '--methods']
    runs = {each: subprocess.Popen([*command, each]) for each in methods}
    try:
        failed = [method for method, run in runs.items() if run.wait()]
    finally:
        for run in runs.values():
            run.terminate()  # Ctrl-C reaches it too, SIGTERM does not
            run.wait()
    if failed:
        raise RunFailedError(f'{" and ".join(failed)} failed: see above')


def draw(method: str, data_root: Path, work_dir: Path) -> Path:
    """Draw the predictions of its test beside the ground truth."""
    people = read_json(
        data_root / 'annotations' / 'person_keypoints_val2017.json'
    )
    pictures = draw_results(
        dict(people, images=people['images'][:12]),
        read_json(work_dir / method.lower() / 'test' / RESULTS),
        data_root / 'val2017',
        work_dir / 'pictures' / method.lower(),
        parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py')),
    )
    sheet = work_dir / 'pictures' / f'{method.lower()}.jpg'
    first = [cv2.imread(str(picture)) for picture in pictures[:6]]
    cv2.imwrite(str(sheet), mosaic(first, columns=2))
    return sheet


def main(argv: list[str] | None = None) -> None:
    """Run the demonstration."""
    words = sys.argv[1:] if argv is None else argv
    args = parse_args(words)
    work_dir = args.work_dir.resolve()
    with report_user_errors('demo.py'):
        data_root = generate_dataset(
            work_dir / 'data',
            num_train=args.num_train,
            num_val=args.num_val,
            seed=args.seed,
            size=PICTURE_SIZE,
        )
        # For the configs, here and in the runs.
        os.environ['GENERATED'] = f'{data_root}/'
        if len(args.methods) > 1 and share_cores(len(args.methods)):
            run_side_by_side(words, args.methods)
        else:
            predict_photographs(args.methods, work_dir / 'photographs')
        rows = []
        for method in args.methods:  # what is finished is not repeated
            rows.append(train_and_test(method, work_dir, args.seed))
            sheet = draw(method, data_root, work_dir)
            print(f'{method}: pictures in {sheet}', flush=True)
        table = markdown_table(COLUMNS, rows)
        write_atomically(work_dir / 'results.md', table)
        print(f'\n{table}\nWritten to {work_dir}')


if __name__ == '__main__':
    run_command(main)
