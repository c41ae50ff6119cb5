"""``rmpe-spm``: predict poses, list, export and show the models that ship."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mmengine.config import DictAction
from mmengine.logging import MMLogger
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..cli.error_messages import report_user_errors
from ..errors import ConfigError
from .demonstration import Demonstration
from .drawing import OverlayWriter, PoseDrawer
from .export import export_onnx
from .formats import LAYOUTS, ResultWriter, write_results
from .inferencer import PoseInferencer
from .inputs import LOGGER, InputStream
from .models import describe_models
from .tracking import PoseTracker
from .web import build_page, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``rmpe-spm``.

    Returns:
        int: The exit code: 0, also where it was stopped by Ctrl-C; 1 where
        nothing could be read; a wrong setting ends with code 2.
    """
    args = _parse(arguments)
    if args.command == 'models':
        print(
            describe_models()
            or 'no weights ship with this version: give --config, --weights'
        )
        return 0
    run = dict(export=_export, predict=_predict, web=_web)[args.command]
    with report_user_errors(f'rmpe-spm {args.command}'):
        return run(args)


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
    _add_model(predict)
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
        help='people with a lower score are left out; default: what suits '
        'the shipped model, otherwise 0',
    )
    add(
        '--kpt-thr',
        type=float,
        default=0.2,
        help='joints with a lower score are not drawn; default: 0.2',
    )
    add(
        '--nms',
        metavar='TYPE[,KEY=VALUE]',
        help='a pose NMS, such as ParametricPoseNMS,preset=coco',
    )
    add(
        '--second-pass',
        action='store_true',
        help='top-down: predict once more in boxes around the poses',
    )
    add('--track', action='store_true', help='give people of videos ids')
    add('--smooth', action='store_true', help='smooth their joints too')
    add(
        '--focal-length',
        type=float,
        help='3D: of the camera, in pixels; default: the longer side',
    )
    add('--batch-size', type=int, default=8, help='default: 8')
    add('--device', help='such as cuda:0; default: a GPU where there is one')
    add('--no-overlays', action='store_true', help='draw nothing')
    export = commands.add_parser('export', help='write a model as ONNX')
    export.add_argument('out', metavar='FILE.onnx', help='the file to write')
    _add_model(export)
    web = commands.add_parser('web', help='serve a page to try the models')
    web.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; default: 127.0.0.1, this machine only',
    )
    web.add_argument('--port', type=int, help='default: a free one from 7860')
    web.add_argument('--device', help='such as cuda:0')
    return parser.parse_args(arguments)


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--model', help='a shipped model by name, or a published file')
    add('--config', help='a config of this package or of mmpose')
    add('--weights', help='its checkpoint')


def _export(args: argparse.Namespace) -> int:
    inferencer = PoseInferencer(
        args.model, config=args.config, weights=args.weights, device='cpu'
    )
    pixels, undecided = export_onnx(inferencer, args.out)
    print(
        f'{args.out}: {pixels:.1g} pixels from PyTorch on random pictures, '
        f'but for the {undecided:.1%} of joints that rounding decides'
    )
    return 0


def _web(args: argparse.Namespace) -> int:
    serve(build_page(Demonstration(args.device)), args.host, args.port)
    return 0


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
        score_thr=args.score_thr,
        second_pass=args.second_pass,
        focal_length=args.focal_length,
    )
    stream = InputStream(args.inputs)
    is_mmposes = args.format == 'mmpose'
    writer = ResultWriter(
        args.format, out_dir / 'predictions' if is_mmposes else out_dir
    )
    overlays = None
    if not args.no_overlays:
        drawer = PoseDrawer(inferencer.metainfo, args.kpt_thr)
        overlays = OverlayWriter(out_dir / 'visualizations', drawer)
    results = inferencer.with_pictures(stream)
    if args.track or args.smooth:
        tracker = PoseTracker(smooth=args.smooth)
        results = ((picture, tracker(each)) for picture, each in results)
    results = write_results(results, writer, overlays)
    logger = MMLogger.get_current_instance()
    logger.setLevel('INFO')  # beside the bar its handler's level is lost
    done = people = 0
    try:
        with (
            tqdm(total=stream.count(), unit=' pictures') as bar,
            logging_redirect_tqdm([LOGGER, logger]),
            closing(results),
        ):
            for _, result in results:
                done, people = done + 1, people + len(result)
                bar.update()
    except KeyboardInterrupt:
        print(f'stopped; {out_dir} has what was done so far', file=sys.stderr)
    print(f'{done} pictures, {people} people: {out_dir}')
    if stream.skipped:
        print(f'{len(stream.skipped)} inputs could not be read:')
        for name, reason in stream.skipped:
            print(f'    {name}: {reason}')
    return 1 if stream.skipped and not done else 0


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
            f'--out-dir {folder} cannot be written ({error.strerror}): name '
            'a folder that can'
        ) from error
