import logging
from types import SimpleNamespace

import pytest
from mmpose.registry import HOOKS


@pytest.fixture
def hook():
    return HOOKS.build(dict(type='BoxSourceHook'))


@pytest.fixture
def runner():
    """Validates on annotated boxes, tests on detections."""

    def loader(file):
        dataset = SimpleNamespace(
            data_mode='topdown', bbox_file=file, filter_cfg=None
        )
        return SimpleNamespace(dataset=dataset)

    return SimpleNamespace(
        val_dataloader=loader(None),
        test_loop=SimpleNamespace(dataloader=loader('a/found.json')),
        logger=logging.getLogger('boxes'),
    )


def test_adds_the_source_to_the_metrics(hook, runner, caplog):
    metrics = {'coco/AP': 0.5}
    hook.after_test_epoch(runner, metrics)
    assert metrics == {'coco/AP': 0.5, 'boxes': 'detections found.json'}
    with caplog.at_level(logging.INFO):
        hook.after_val_epoch(runner, metrics)
    assert metrics['boxes'] == 'ground truth'
    assert caplog.messages == ['boxes: ground truth']


def test_runs_before_the_metrics_are_logged(hook):
    assert hook.priority == 'HIGHEST'
    hook.after_test_epoch(None, None)
    hook.after_val_epoch(None, None)
