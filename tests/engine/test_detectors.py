"""Detectors of mmdet's, with random weights, without compiled operators."""

from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmcv_operators import needs_mmcv_operators
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import init_default_scope


@pytest.fixture
def predict():
    """Build a detector of mmdet's; predict on a small picture."""
    configs = Path(mmdet.__file__).parent / '.mim' / 'configs'

    def call(name, threshold):
        cfg = Config.fromfile(configs / f'{name}.py')
        cfg.model.backbone.init_cfg = None
        # random weights are unsure
        cfg.merge_from_dict({threshold: 0.0} if threshold else {})
        for step in cfg.test_dataloader.dataset.pipeline:
            for key in {'scale', 'size'} & set(step):
                step[key] = (96, 96)
        torch.manual_seed(0)
        model = init_detector(cfg, None, palette='coco', device='cpu')
        # so that what random layers give stays finite
        for parameter in model.parameters():
            parameter.data *= 0.5
        picture = np.random.default_rng(0).integers(0, 255, (72, 96, 3))

        def again():
            result = inference_detector(model, picture.astype(np.uint8))
            return result.pred_instances

        return again

    yield call
    init_default_scope('mmpose')


DETECTORS = pytest.mark.parametrize(
    'name, threshold',
    [
        ('rtmdet/rtmdet_tiny_8xb32-300e_coco', None),
        ('yolox/yolox_tiny_8xb8-300e_coco', 'model.test_cfg.score_thr'),
        ('tood/tood_r50_fpn_1x_coco', None),
        ('centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco', None),
        (
            'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
            'model.test_cfg.rcnn.score_thr',
        ),
    ],
)


@DETECTORS
def test_detectors_predict(predict, without_operators, name, threshold):
    without_operators()
    people = predict(name, threshold)()
    assert len(people) and torch.isfinite(people.bboxes).all()
    assert (people.scores[:-1] >= people.scores[1:]).all()


@needs_mmcv_operators
@DETECTORS
def test_detectors_predict_the_same(
    predict, without_operators, name, threshold
):
    again = predict(name, threshold)
    expected = again()
    without_operators()
    found = again()
    for key in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(
            found[key], expected[key], rtol=1e-4, atol=1e-3
        )
