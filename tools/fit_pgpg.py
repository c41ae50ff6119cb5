"""Fit a proposal model to a person detector, for PGPGTransform.

Clusters the annotated poses into atoms (atomic poses), matches the detections
with the annotated boxes and fits, for each atom, the offsets of the four sides
(RMPE, section 3.3). Writes one JSON file, which PGPGTransform takes as
``model``, and a report with pictures:

    python tools/fit_pgpg.py ANNOTATIONS.json DETECTIONS.json \
        --out pgpg.json --report pgpg_report
"""

import argparse
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
import sklearn

import rmpe_spm
from rmpe_spm.cli.error_messages import report_user_errors
from rmpe_spm.coco.annotations import KeypointAnnotations
from rmpe_spm.coco.results import read_detections
from rmpe_spm.experiments.pgpg_report import write_report
from rmpe_spm.files import digest_file
from rmpe_spm.rmpe.pgpg_fitting import (
    FitSettings,
    fit_proposal_model,
    match_people,
)
from rmpe_spm.rmpe.pgpg_model import save_proposal_model


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n', maxsplit=1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        'annotations', help='COCO keypoint annotations of training images'
    )
    parser.add_argument(
        'detections', help="a detector's boxes on them, COCO results JSON"
    )
    parser.add_argument('--out', required=True, help='the file to write')
    parser.add_argument('--report', help='the folder of the report')
    parser.add_argument(
        '--num-atoms',
        type=int,
        help='the number of atoms; without it, the one of the best held-out '
        'likelihood of the offsets is chosen',
    )
    parser.add_argument('--seed', type=int, default=0, help='the seed')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Fit as the command line says."""
    words = sys.argv[1:] if argv is None else argv
    args = parse_args(words)
    files = {name: vars(args)[name] for name in ('annotations', 'detections')}
    with report_user_errors('fit_pgpg.py'):
        annotations = KeypointAnnotations.read(args.annotations)
        annotations.check_people()
        people = match_people(
            annotations.content, read_detections(args.detections)
        )
        for key, value in people.counts.items():
            print(f'{key.replace("_", " ")}: {value}')
        model = fit_proposal_model(
            people,
            FitSettings(num_atoms=args.num_atoms, seed=args.seed),
            report=lambda line: print(line, flush=True),
        )
    model.provenance = {
        **{
            name: {'file': Path(file).name, 'sha256': digest_file(file, 64)}
            for name, file in files.items()
        },
        'command': shlex.join(['python', 'tools/fit_pgpg.py', *words]),
        'date': date.today().isoformat(),
        'seed': args.seed,
        'counts': people.counts,
        'versions': {
            'rmpe_spm': rmpe_spm.__version__,
            'numpy': np.__version__,
            'scikit-learn': sklearn.__version__,
        },
    }
    save_proposal_model(model, args.out)
    print(f'{len(model.atoms)} atoms: {args.out}')
    if args.report:
        category = annotations.find_person_category()
        skeleton = [(a - 1, b - 1) for a, b in category.get('skeleton', [])]
        page = write_report(model, args.report, skeleton)
        print(f'report: {page}')


if __name__ == '__main__':
    main()
