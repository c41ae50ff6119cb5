"""Models and data that a leaderboard is made of."""

from argparse import Namespace
from functools import partial

import cv2
import mpii_files
import numpy as np
import pytest

from rmpe_spm.leaderboard.entries import Entry, prepare
from rmpe_spm.leaderboard.evaluate import evaluate_all
from rmpe_spm.leaderboard.measure import Record
from rmpe_spm.leaderboard.spec import (
    CONFIG_BOXES,
    DataSetSpec,
    ModelSpec,
    spec_of_pairs,
)
from rmpe_spm.leaderboard.tables import Row


@pytest.fixture
def run_args():
    """The command line's arguments without any given."""
    return Namespace(
        launcher='none', local_rank=0, cfg_options=None, rerun=False
    )


@pytest.fixture
def write_model(write_model, easy_annotations):
    """Write a small model that is tested on the large people."""
    keys = 'test_dataloader.dataset.ann_file', 'test_evaluator.ann_file'
    return partial(write_model, **dict.fromkeys(keys, str(easy_annotations)))


@pytest.fixture
def make_row():
    """Make a row as an evaluation would."""

    def make(model='model', ap=0.5, boxes='ground truth', **changes):
        record = Record(
            metrics={'coco/AP': ap, 'coco/AP .5': ap + 0.1, 'coco/AR': ap},
            sigmas=[],
            num_images=4,
            num_poses=8,
            parameters=1_500_000,
            gflops=0.5,
            gflops_input="one person's crop of 48x64",
            images_per_second=12.5,
            images_per_second_std=0.25,
            peak_memory_mib=300.0,
            device='CPU',
            processes=1,
            date='2026-11-24',
        )
        row = Row('val', model, boxes, 'c.py', 'w.pth', 'ab' * 32, record)
        for name, value in changes.items():
            setattr(row, name, value)
        return row

    return make


@pytest.fixture
def failed_row(make_row):
    return make_row('broken', record=None, failure='no <weights> | there')


@pytest.fixture
def evaluate(run_args, tmp_path):
    """Evaluate a list, or configs with their checkpoints."""

    def evaluate(*what, boxes=None):
        (spec,) = what if len(what) == 1 else [spec_of_pairs(what, boxes)]
        args = (spec, run_args, tmp_path / 'work', lambda _: None)
        return list(evaluate_all(*args))

    return evaluate


@pytest.fixture
def identified(run_args, tmp_path):
    """Prepare an entry of a config and a checkpoint, with its keys."""

    def make(
        config, checkpoint, data_set=None, source=CONFIG_BOXES[0], **options
    ):
        model = ModelSpec('model', config, checkpoint, options)
        entry = Entry(model, data_set, source)
        prepared = prepare(entry, run_args, tmp_path / 'boxes')
        assert prepared.key  # of the files as they are
        return prepared

    return make


@pytest.fixture
def mpii(tmp_path):
    """Four images of two people, one who reaches out of the image."""
    people = {
        f'00000000{i}.jpg': [
            mpii_files.standing_person(100, 120),
            mpii_files.standing_person(170 + i, 130),
        ]
        for i in range(1, 5)
    }
    mpii_files.write_release(tmp_path / 'mpii.mat', people)
    for name in people:
        cv2.imwrite(str(tmp_path / name), np.zeros((240, 320, 3), np.uint8))

    def spec(*sources):
        return DataSetSpec(
            'MPII',
            dict(
                type='MpiiMultiPersonDataset',
                data_root=str(tmp_path),
                ann_file='mpii.mat',
                data_prefix={'img': ''},
            ),
            dict(type='MpiiMultiPersonAP', thr=4.0),
            sources,
            'Total',
        )

    return spec
