from types import SimpleNamespace

import pytest
from mmengine.dataset import ConcatDataset
from mmpose.registry import DATASETS

from rmpe_spm.engine.hooks import box_source_name


@pytest.fixture
def build(tiny_config):
    """Build the data set of a test with some changes."""
    settings = tiny_config.test_dataloader.dataset

    def build(**changes):
        return DATASETS.build(dict(settings, **changes))

    return build


def test_top_down_models(build, tiny_detections):
    assert box_source_name(build()) == 'ground truth'
    found = build(bbox_file=str(tiny_detections))
    assert box_source_name(found) == 'detections detections.json'
    found = build(
        bbox_file=str(tiny_detections), filter_cfg=dict(bbox_score_thr=0.3)
    )
    name = 'detections detections.json (score >= 0.3)'
    assert box_source_name(found) == name
    both = ConcatDataset([build(), found, found])
    assert box_source_name(both) == f'ground truth and {name}'


def test_models_without_boxes(build):
    pipeline = [dict(type='LoadImage'), dict(type='PackPoseInputs')]
    whole = build(data_mode='bottomup', pipeline=pipeline)
    assert box_source_name(whole) == 'none (single stage)'
    pipeline.insert(1, dict(type='GroupAffine', input_size=(64, 64)))
    groups = build(data_mode='bottomup', pipeline=pipeline)
    assert box_source_name(groups) == "group's place and scale (annotated)"


def test_what_does_not_tell():
    found = box_source_name(SimpleNamespace())
    assert found == 'unknown (SimpleNamespace does not tell)'
