"""``rmpe-spm predict`` and ``rmpe-spm models``."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmengine.config import DictAction
from mmengine.logging import MMLogger
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..cli.error_messages import report_user_errors
from ..errors import ConfigError
from .drawing import OverlayWriter, PoseDrawer
from .formats import LAYOUTS, ResultWriter, UniqueNames
from .inferencer import PoseInferencer
from .inputs import InputStream, Picture
from .models import MODELS
from .results import PoseResult

_MAX_WAITING_WRITES = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``rmpe-spm``.

    Args:
        arguments (sequence, optional): The command line. Defaults to None:
            the program's.

    Returns:
        int: The exit code: 0, also where it was stopped by Ctrl-C; 1 where
        nothing could be read; a wrong setting ends with code 2.
    """
    args = _parse(arguments)
    if args.command == 'models':
        for name, model in sorted(MODELS.items()):
            print(f'{name:12} {model["about"]}')
        if not MODELS:
            print(
                'no weights ship with this version: give --config, --weights'
            )
        return 0
    with report_user_errors('rmpe-spm predict'):
        return _predict(args)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='rmpe-spm', description='Poses of people in pictures and videos.'
    )
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('models', help='list the models that ship')
    predict = commands.add_parser('predict', help='predict poses')
    add = predict.add_argument
    add(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='picture, video, folder, pattern, URL, or webcam:0',
    )
    add('--model', help='a shipped model, by name')
    add('--config', help='a config of this package or of mmpose')
    add('--weights', help='its checkpoint')
    add('--out-dir', default='results', help='default: results')
    add('--format', choices=LAYOUTS, default='coco', help='default: coco')
    add(
        '--boxes',
        metavar='FILE',
        help='for a top-down model: detections in COCO results layout '
        '(.json), a config of mmdet (.py), or a shipped model',
    )
    add('--box-weights', metavar='FILE', help="the detector's checkpoint")
    add(
        '--box-thr',
        type=float,
        default=0.3,
        help='detections with a lower score are not used; default: 0.3',
    )
    add(
        '--score-thr',
        type=float,
        default=0.0,
        help='people with a lower score are left out; default: 0',
    )
    add(
        '--kpt-thr',
        type=float,
        default=0.3,
        help='joints with a lower score are not drawn; default: 0.3',
    )
    add(
        '--nms',
        metavar='TYPE[,KEY=VALUE]',
        help='a pose NMS, such as ParametricPoseNMS,preset=coco',
    )
    add('--batch-size', type=int, default=8, help='default: 8')
    add('--device', help='such as cuda:0; default: a GPU where there is one')
    add('--no-overlays', action='store_true', help='draw nothing')
    return parser.parse_args(arguments)


def _predict(args: argparse.Namespace) -> int:
    out_dir = _writable(Path(args.out_dir))
    if args.box_weights and not args.boxes:
        raise ConfigError('--box-weights belongs to --boxes CONFIG.py')
    inferencer = PoseInferencer(
        args.model,
        config=args.config,
        weights=args.weights,
        device=args.device,
        boxes_from=(args.boxes, args.box_weights)
        if args.box_weights
        else args.boxes,
        nms=_parse_nms(args.nms),
        batch_size=args.batch_size,
        box_thr=args.box_thr,
    )
    stream = InputStream(args.inputs)
    writer = ResultWriter(args.format, out_dir)
    overlays = None
    if not args.no_overlays:
        drawer = PoseDrawer(inferencer.metainfo, args.kpt_thr)
        overlays = OverlayWriter(out_dir / 'visualizations', drawer)
    names = UniqueNames()

    def write(picture: Picture, result: PoseResult) -> None:
        name = names(result)
        try:
            writer.write(result, name)
            if overlays is not None:
                overlays.write(picture, result, name)
        except OSError as error:
            raise ConfigError(f'cannot write to {out_dir}: {error}') from error

    done = people = 0
    try:
        with (
            tqdm(total=stream.count(), unit='picture') as bar,
            logging_redirect_tqdm([MMLogger.get_current_instance()]),
            _BackgroundWrites(write) as writes,
        ):
            for picture, result in inferencer.with_pictures(stream):
                result = result.above(args.score_thr)
                writes.add(picture, result)
                done, people = done + 1, people + len(result)
                bar.update()
    except KeyboardInterrupt:
        print(f'stopped; {out_dir} has what was done so far', file=sys.stderr)
    finally:
        if overlays is not None:
            overlays.close()
    print(f'{done} pictures, {people} people: {out_dir}')
    if stream.skipped:
        print(f'{len(stream.skipped)} inputs could not be read:')
        for name, reason in stream.skipped:
            print(f'    {name}: {reason}')
    return 1 if stream.skipped and not done else 0


class _BackgroundWrites:
    """Write in a thread, a bounded number of results behind.

    Args:
        write (callable): Writes a result.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1)
        self._waiting: list[Future] = []

    def __enter__(self) -> '_BackgroundWrites':
        return self

    def add(self, *result: Any) -> None:
        """Write a result soon; errors of earlier ones are raised here."""
        self._waiting.append(self._pool.submit(self._write, *result))
        limit = _MAX_WAITING_WRITES
        while self._waiting and (
            self._waiting[0].done() or len(self._waiting) > limit
        ):
            self._waiting[0].result()
            self._waiting.pop(0)

    def __exit__(self, *error: Any) -> None:
        self._pool.shutdown()
        for each in self._waiting:
            each.result()


def _parse_nms(text: str | None) -> dict | None:
    if text is None:
        return None
    kind, *settings = text.split(',')
    pairs = [each.split('=', 1) for each in settings]
    if any(len(pair) != 2 for pair in pairs):
        raise ConfigError(f'--nms is TYPE,KEY=VALUE,...: {text!r}')
    values = {
        key: DictAction._parse_int_float_bool(value) for key, value in pairs
    }
    return dict(type=kind, **values)


def _writable(folder: Path) -> Path:
    """Make the folder of the results, and see that files can go there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ConfigError(
            f'--out-dir {folder} cannot be written: {error.strerror}'
        ) from error
