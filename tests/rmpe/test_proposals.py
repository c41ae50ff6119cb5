import math

import pytest

from rmpe_spm.rmpe.proposals import (
    bbox_iou,
    bbox_offsets,
    clip_bbox,
    is_usable_bbox,
    offset_bbox,
    patch_bbox,
)

BOX = (10.0, 20.0, 50.0, 100.0)  # 40 wide, 80 high


def test_offsets_by_hand():
    offsets, moved = (-0.25, 0.125, 0.5, -0.05), (0, 30, 70, 96)
    assert offset_bbox(BOX, offsets) == pytest.approx(moved)
    assert bbox_offsets(BOX, moved) == pytest.approx(offsets)


@pytest.mark.parametrize(
    ('scale', 'place', 'expected'),
    [
        # 32 x 64, so 8 and 16 are left to place it in
        (0.8, (0, 0), (10, 20, 42, 84)),
        (0.8, (1, 1), (18, 36, 50, 100)),
        (0.8, (0.25, 0.5), (12, 28, 44, 92)),
        (1.0, (0.3, 0.9), BOX),
    ],
)
def test_patch_bbox_by_hand(scale, place, expected):
    assert patch_bbox(BOX, scale, place) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        (BOX, BOX),
        ((-5, -7, 50, 60), (0, 0, 50, 60)),
        ((60, 10, 300, 400), (60, 10, 199, 149)),
        # crossed sides: min_side at the upper left corner
        ((80, 90, 70, 60), (80, 90, 85, 95)),
        # beyond the image on the right and below
        ((500, 700, 600, 900), (194, 144, 199, 149)),
        # beyond it on the left and above
        ((-90, -80, -10, -20), (0, 0, 5, 5)),
        ((30, 40, 31, 100), (30, 40, 35, 100)),
    ],
)
def test_clip_bbox_by_hand(box, expected):
    assert clip_bbox(box, (200, 150), 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('box', 'image_size', 'is_usable'),
    [
        ((math.nan, 20, 50, 100), (200, 150), False),
        ((10, 20, math.inf, 100), (200, 150), False),
        ((10, 20, 10, 100), (200, 150), False),
        ((10, 20, 50, 20), (200, 150), False),
        ((50, 20, 10, 100), (200, 150), False),
        ((200, 20, 240, 100), (200, 150), False),
        ((-30, 20, 0, 100), (200, 150), False),
        ((10, 150, 50, 170), (200, 150), False),
        ((10, -30, 50, -1), (200, 150), False),
        (BOX, (1, 150), False),
        (BOX, (200, 0), False),
        (BOX, (200, 150), True),
        ((-30, -30, 1, 1), (200, 150), True),
        ((198, 148, 250, 250), (200, 150), True),
    ],
)
def test_is_usable_bbox(box, image_size, is_usable):
    assert is_usable_bbox(box, image_size) == is_usable


@pytest.mark.parametrize(
    ('other', 'expected'),
    [
        (BOX, 1),
        ((30, 20, 70, 100), 1 / 3),
        ((10, 60, 50, 140), 1 / 3),
        ((20, 30, 30, 40), 100 / 3200),
        ((50, 20, 90, 100), 0),
        ((60, 120, 90, 150), 0),
    ],
)
def test_bbox_iou_by_hand(other, expected):
    assert bbox_iou(BOX, other) == pytest.approx(expected)
    assert bbox_iou(other, BOX) == pytest.approx(expected)
