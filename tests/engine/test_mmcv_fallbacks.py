"""The fallbacks beside brute force and mmcv's operators, and in detectors."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv import ops
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import init_default_scope

from rmpe_spm.engine import mmcv_lite
from rmpe_spm.engine.mmcv_lite import (
    EXTENSION,
    Placeholder,
    deform_conv2d,
    import_mmcv_ops,
    nms,
    roi_align,
)


@pytest.mark.parametrize('compiled', [True, False])
def test_a_placeholder_is_there_for_the_import_alone(monkeypatch, compiled):
    """Even where it fails; with the compiled operators nothing is done."""

    def fail(name):
        assert isinstance(sys.modules[EXTENSION], Placeholder)
        raise ImportError(name)

    for name in ('mmcv.ops', EXTENSION):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = object() if compiled else None
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: found)
    monkeypatch.setattr(importlib, 'import_module', fail)
    if compiled:
        assert import_mmcv_ops() is False
    else:
        with pytest.raises(ImportError, match='mmcv.ops'):
            import_mmcv_ops()
    assert EXTENSION not in sys.modules


@pytest.fixture
def without_operators(monkeypatch):
    """Take mmcv's compiled operators away, where there are some."""

    def take():
        for name in (
            'nms',
            'roi_align',
            'deform_conv',
            'modulated_deform_conv',
        ):
            module = importlib.import_module(f'mmcv.ops.{name}')
            monkeypatch.setattr(module, 'ext_module', Placeholder(EXTENSION))

    return take


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def make_boxes(num, seed=0):
    """Make boxes of a picture of 50 pixels, one of them empty."""
    numbers = random(num, 6, seed=seed, dtype=torch.float32).sigmoid()
    corners = numbers[:, :2] * 50
    boxes = torch.cat([corners, corners + numbers[:, 2:4] * 30], dim=1)
    if num:
        boxes[0, 2:] = boxes[0, :2]
    # some scores are equal
    scores = (numbers[:, 4] * 20).round() / 20
    return boxes, scores, (numbers[:, 5] * 3).long()


def brute_force_nms(boxes, scores, threshold, offset=0):
    """One pair at a time."""
    boxes = boxes.numpy()

    def area(low, high):
        return np.maximum(high - low + np.float32(offset), 0).prod()

    kept = []
    for index in scores.argsort(descending=True).tolist():
        one = boxes[index]
        for other in boxes[kept]:
            shared = area(
                np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
            )
            union = area(one[:2], one[2:]) + area(other[:2], other[2:])
            if shared > np.float32(threshold) * (union - shared):
                break
        else:
            kept.append(index)
    return kept


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 25),
    st.floats(0.05, 0.95),
    st.sampled_from([0, 1]),
    st.sampled_from([3, 512]),
    st.integers(0, 999),
)
def test_nms_is_greedy(num, threshold, offset, block, seed):
    boxes, scores, _ = make_boxes(num, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmcv_lite, 'NMS_BLOCK', block)
        kept = nms(boxes, scores, threshold, offset)
    assert kept.dtype == torch.int64
    assert kept.tolist() == brute_force_nms(boxes, scores, threshold, offset)


def test_boxes_without_an_area_suppress_nothing():
    boxes = torch.tensor([[3.0, 3, 3, 3]] * 2)
    assert nms(boxes, torch.tensor([0.1, 0.2]), 0.5).tolist() == [1, 0]


def brute_force_roi_align(inputs, roi, size, scale, count, aligned):
    """The mean over the places in each bin, place by place."""
    (height, width), image = inputs.shape[2:], int(roi[0])
    x1, y1, x2, y2 = (float(v) * scale - 0.5 * aligned for v in roi[1:])
    roi_h, roi_w = y2 - y1, x2 - x1
    if not aligned:
        roi_h, roi_w = max(roi_h, 1), max(roi_w, 1)
    rows = count or math.ceil(roi_h / size[0])
    columns = count or math.ceil(roi_w / size[1])
    output = inputs.new_zeros(inputs.shape[1], *size)

    def value(y, x):
        if not (-1 <= y <= height and -1 <= x <= width):
            return 0
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        total = 0
        for row, column in itertools.product(range(height), range(width)):
            part = max(1 - abs(y - row), 0) * max(1 - abs(x - column), 0)
            total += part * inputs[image, :, row, column]
        return total

    for i, j in np.ndindex(*size):
        for k, m in np.ndindex(rows, columns):
            y = y1 + roi_h / size[0] * (i + (k + 0.5) / rows)
            x = x1 + roi_w / size[1] * (j + (m + 0.5) / columns)
            output[:, i, j] += value(y, x) / (rows * columns)
    return output


ROIS = torch.tensor(
    [
        [0.0, 2.3, 1.1, 9.8, 12.7],
        [1, -6.4, -4.2, 5.1, 30.3],  # over the border
        [1, 40, 40, 60, 50],  # outside
        [0, 7.2, 3.4, 7.9, 3.5],  # smaller than a cell
        [0, 5, 5, 5, 5],  # empty
    ],
    dtype=torch.float64,
)


@pytest.mark.parametrize('count', [0, 1, 3])
@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_is_the_mean_of_its_places(aligned, count):
    inputs = random(2, 2, 8, 6)
    arguments = ((3, 2), 0.5, count, aligned)
    found = roi_align(inputs, ROIS, *arguments)
    for roi, one in zip(ROIS, found, strict=True):
        expected = brute_force_roi_align(inputs, roi, *arguments)
        torch.testing.assert_close(one, expected)
    assert found[0].abs().min() > 0 and not found[2].any()
    assert roi_align(inputs, ROIS[:0], (3, 2)).shape == (0, 2, 3, 2)


def brute_force_deform_conv2d(
    inputs, offsets, weight, stride, padding, dilation, groups, fields, mask
):
    """The sum over taps, cell by cell."""
    num, channels, height, width = inputs.shape
    size, per_group = weight.shape[2:], channels // groups
    out_shape = offsets.shape[2:]
    outputs = inputs.new_zeros(num, len(weight), *out_shape)

    def value(n, channel, y, x):
        total = 0.0
        top, left = math.floor(y), math.floor(x)
        for row in (top, top + 1):
            for column in (left, left + 1):
                if 0 <= row < height and 0 <= column < width:
                    part = (1 - abs(y - row)) * (1 - abs(x - column))
                    total += part * inputs[n, channel, row, column].item()
        return total

    for n, out, row, column in np.ndindex(num, len(weight), *out_shape):
        group = out // (len(weight) // groups)
        for index, i, j in np.ndindex(per_group, *size):
            channel = group * per_group + index
            field = channel // (channels // fields)
            tap = (field * size[0] + i) * size[1] + j
            y, x = offsets[n, 2 * tap : 2 * tap + 2, row, column].tolist()
            y += row * stride[0] - padding[0] + i * dilation[0]
            x += column * stride[1] - padding[1] + j * dilation[1]
            part = weight[out, index, i, j] * value(n, channel, y, x)
            outputs[n, out, row, column] += part * mask[n, tap, row, column]
    return outputs


def make_deform(
    groups=1, fields=1, size=(7, 5), kernel=(3, 3), dtype=torch.float64, **cfg
):
    """Four channels a group, twelve at least."""
    channels = 4 * groups * (1 if fields in (1, groups) else fields)
    inputs = random(2, channels, *size, dtype=dtype)
    weight = random(3 * groups, channels // groups, *kernel, seed=1)
    weight = weight.to(dtype) / math.sqrt(weight[0].numel())
    out = torch.conv2d(inputs, weight, groups=groups, **cfg).shape[2:]
    taps = fields * math.prod(kernel)
    offsets = 1.5 * random(2, 2 * taps, *out, seed=2, dtype=dtype)
    mask = random(2, taps, *out, seed=3, dtype=dtype).sigmoid()
    return inputs, offsets, weight, mask


@pytest.mark.parametrize(
    'groups, fields, cfg',
    [
        (1, 1, dict(padding=(1, 1))),
        (2, 2, dict(padding=(1, 1), kernel=(3, 2))),
        (1, 2, dict(stride=(2, 1), padding=(0, 2))),
        (2, 1, dict(dilation=(2, 1), padding=(2, 0))),
        (2, 2, dict(kernel=(1, 1), size=(1, 4))),
    ],
)
def test_deform_conv2d_is_the_sum_over_taps(groups, fields, cfg):
    *tensors, mask = make_deform(groups, fields, **cfg)
    arguments = [cfg.get('stride', (1, 1)), cfg.get('padding', (0, 0))]
    arguments += [cfg.get('dilation', (1, 1)), groups, fields]
    moved = [x.to(memory_format=torch.channels_last) for x in tensors]
    for weights in (mask, torch.ones_like(mask)):
        expected = brute_force_deform_conv2d(*tensors, *arguments, weights)
        given = mask if weights is mask else None
        for layout in (tensors, moved):
            found = deform_conv2d(*layout, *arguments, given)
            torch.testing.assert_close(found, expected)


def test_half_precision_rounds_values_and_not_places():
    inputs, offsets, weight, _ = make_deform(size=(96, 96), padding=1)
    # places that half precision can tell from whole cells only near 0
    offsets = (offsets * 4).round() / 4
    half = [tensor.bfloat16() for tensor in (inputs, offsets, weight)]
    found = deform_conv2d(*half, padding=1)
    expected = deform_conv2d(*[x.double() for x in half], padding=1)
    error = (found - expected).abs().mean() / expected.abs().mean()
    assert found.dtype == torch.bfloat16 and error < 0.01


def call_operators(dtype):
    """Call each operator by mmcv's function, as mmdet does."""
    boxes, scores, classes = make_boxes(200)
    features = random(2, 4, 40, 60, dtype=dtype)
    rois = torch.cat([(classes % 2)[:, None], boxes], dim=1).to(dtype)
    inputs, offsets, weight, mask = make_deform(2, 2, (24, 32), dtype=dtype)
    bias = random(6, seed=4, dtype=dtype)
    return dict(
        nms=ops.nms(boxes, scores, 0.4),
        nms_of_pixels=ops.nms(boxes, scores, 0.4, 1, 0.3, 20),
        batched_nms=ops.batched_nms(
            boxes, scores, classes, dict(type='nms', iou_threshold=0.4)
        ),
        split_nms=ops.batched_nms(
            boxes, scores, classes, dict(iou_threshold=0.4, split_thr=50)
        ),
        roi_align=ops.RoIAlign(7, 0.5)(features, rois),
        roi_align_sampled=ops.roi_align(
            features, rois, (3, 5), 0.25, 2, 'avg', False
        ),
        deform_conv=ops.deform_conv2d(inputs, offsets, weight, 1, 0, 1, 2, 2),
        modulated=ops.modulated_deform_conv2d(
            inputs, offsets, mask, weight, bias, 1, 0, 1, 2, 2
        ),
    )


def test_mmcv_calls_the_fallbacks(without_operators):
    without_operators()
    with pytest.warns(UserWarning, match="'nms' is computed in plain PyTorch"):
        found = call_operators(torch.float32)
    boxes, scores, classes = make_boxes(200)
    dets, kept = found['nms']
    assert kept.tolist() == brute_force_nms(boxes, scores, 0.4)
    torch.testing.assert_close(dets[:, 4], scores[kept])
    expected = []
    for one in range(3):
        places = (classes == one).nonzero()[:, 0]
        kept = brute_force_nms(boxes[places], scores[places], 0.4)
        expected += places[kept].tolist()
    for name in ('batched_nms', 'split_nms'):
        assert sorted(found[name][1].tolist()) == sorted(expected)
        assert (found[name][0][:-1, 4] >= found[name][0][1:, 4]).all()
    assert found['roi_align'].shape == (200, 4, 7, 7)
    assert found['modulated'].shape == (2, 6, 22, 30)


@pytest.mark.skipif(
    importlib.util.find_spec(EXTENSION) is None,
    reason='mmcv has no compiled operators here',
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equals_the_compiled_operators(without_operators, dtype):
    expected = call_operators(dtype)
    without_operators()
    found = call_operators(dtype)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_what_has_no_fallback_is_named(without_operators):
    without_operators()
    boxes, scores, _ = make_boxes(5)
    with pytest.raises(RuntimeError, match=r"'softnms' is needed.*FULL=1"):
        ops.soft_nms(boxes, scores)
    with pytest.raises(RuntimeError, match="pool_mode='max'"):
        ops.roi_align(random(2, 1, 4, 4), ROIS, 2, 1.0, 0, 'max')
    inputs, offsets, weight, _ = make_deform()
    outputs = ops.deform_conv2d(inputs, offsets, weight.requires_grad_())
    with pytest.raises(RuntimeError, match='deform_conv_backward_parameters'):
        outputs.sum().backward()


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


@pytest.mark.parametrize(
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
def test_detectors_predict(predict, without_operators, name, threshold):
    """As with the compiled operators, where they are there."""
    again = predict(name, threshold)
    expected = again()
    without_operators()
    found = again()
    assert len(found) and torch.isfinite(found.bboxes).all()
    assert (found.scores[:-1] >= found.scores[1:]).all()
    for key in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(
            found[key], expected[key], rtol=1e-4, atol=1e-3
        )
