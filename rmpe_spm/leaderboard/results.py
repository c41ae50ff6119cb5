"""Rows for which no model is run: files of results, and published numbers."""

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from ..coco.evaluation import evaluate_files
from ..coco.ground_truth import PoseSet, read_pose_set
from ..files import digest_file
from .measure import Record
from .spec import PublishedSpec, ResultsSpec
from .tables import Row


def results_row(spec: ResultsSpec) -> Row:
    """The row of a file of results, before it is evaluated."""
    return Row(
        spec.data_set,
        spec.name,
        spec.boxes,
        checkpoint=spec.results,
        origin='result file',
    )


def evaluate_results(spec: ResultsSpec, row: Row) -> PoseSet:
    """Evaluate a file of results into its row; return what was scored.

    Raises:
        FileNotFoundError: A file is missing.
        ConfigError: The annotations or the results cannot be evaluated.
    """
    meta = parse_pose_metainfo(dict(from_file=spec.metainfo))
    sigmas = np.asarray(meta['sigmas'], float)
    files = spec.ann_file, spec.results
    how = dict(iou_type=spec.iou_type, use_area=spec.use_area)
    record = Record(evaluate_files(*files, sigmas, **how))
    poses = read_pose_set(*files, len(sigmas), **how)
    record.add_poses(poses, meta)
    row.record, row.checkpoint_sha256 = record, digest_file(spec.results, 64)
    return poses


def published_row(spec: PublishedSpec) -> Row:
    """The row of published numbers."""
    return Row(
        spec.data_set,
        spec.name,
        spec.boxes,
        record=Record(spec.metrics),
        origin='published',
        source=spec.source,
    )
