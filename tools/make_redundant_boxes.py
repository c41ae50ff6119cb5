"""Make redundant boxes, as the paper's pose NMS is made for.

Joins files of COCO results, each with boxes or poses (whose boxes are their
joints' extents, 25% larger), and gives each box twins drawn from the errors of
a detector that tools/fit_pgpg.py has fitted:

    python tools/make_redundant_boxes.py PGPG.json OUT.json DETECTIONS.json \
        POSES.json --score-thr 0.01
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.files import read_json, write_atomically
from rmpe_spm.inference.base import body_boxes
from rmpe_spm.rmpe.pgpg_model import OffsetModel, load_proposal_model
from rmpe_spm.rmpe.proposals import offset_bbox


def add_twins(
    boxes: list[dict[str, Any]], offsets: OffsetModel, twins: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield boxes, each before its twins, which have its score."""
    rng = np.random.default_rng(seed)
    for box in boxes:
        yield box
        x, y, w, h = box['bbox']
        for _ in range(twins):
            drawn = offsets.mixture_offsets(
                rng.random(4).tolist(), rng.standard_normal(4).tolist()
            )
            x0, y0, x1, y1 = offset_bbox((x, y, x + w, y + h), drawn)
            if x0 < x1 and y0 < y1:
                yield dict(box, bbox=[x0, y0, x1 - x0, y1 - y0])


def read_boxes(path: str, score_thr: float) -> list[dict[str, Any]]:
    """Read the boxes of a file of results from a score up."""
    found = []
    for result in read_json(path):
        if result['score'] < score_thr:
            continue
        bbox = result.get('bbox')
        if 'keypoints' in result:
            joints = np.reshape(result['keypoints'], (1, -1, 3))
            (sides,) = body_boxes(joints[..., :2], joints[..., 2])
            bbox = [*sides[:2].tolist(), *(sides[2:] - sides[:2]).tolist()]
        keys = ('image_id', 'category_id', 'score')
        found.append(dict({key: result[key] for key in keys}, bbox=bbox))
    return found


def main(argv: list[str] | None = None) -> None:
    """Make them as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('model', help='file of tools/fit_pgpg.py')
    parser.add_argument('out', type=Path, help='file to write')
    parser.add_argument('results', nargs='+', help='files of COCO results')
    parser.add_argument('--score-thr', type=float, default=0.01)
    parser.add_argument('--twins', type=int, default=2, help='of each box')
    parser.add_argument('--seed', type=int, default=0, help='of the twins')
    args = parser.parse_args(argv)
    with report_user_errors('make_redundant_boxes.py'):
        offsets = load_proposal_model(args.model).everybody.offsets
        boxes = [
            box
            for path in args.results
            for box in read_boxes(path, args.score_thr)
        ]
        made = list(add_twins(boxes, offsets, args.twins, args.seed))
        write_atomically(args.out, json.dumps(made))
    print(f'{args.out}: {len(made)} boxes, {len(boxes)} without twins')


if __name__ == '__main__':
    main()
