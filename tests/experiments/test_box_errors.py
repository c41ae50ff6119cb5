import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rmpe_spm.experiments.box_perturbation import (
    MIN_SIDE,
    amplify_errors,
    scale_boxes,
    shift_boxes,
    truncate_boxes,
)

BOX = np.array([[10.0, 20.0, 50.0, 100.0]])  # 40 wide, 80 high
MANY = np.repeat(BOX, 400, axis=0)
DRAWN = [shift_boxes, scale_boxes, truncate_boxes]
FUNCTIONS = [*DRAWN, lambda boxes, size, rng: amplify_errors(boxes, BOX, size)]


def rng():
    return np.random.default_rng(0)


def some_boxes(count=5):
    corners = arrays(np.float64, (count, 2), elements=st.floats(-50, 200))
    sides = arrays(np.float64, (count, 2), elements=st.floats(0.01, 300))
    return st.tuples(corners, sides).map(
        lambda b: np.hstack([b[0], b[0] + b[1]])
    )


def test_shift_is_as_long_as_asked_in_all_directions():
    shifted = shift_boxes(MANY, 0.25, rng())
    moves = shifted - MANY
    np.testing.assert_allclose(moves[:, :2], moves[:, 2:])
    x, y = moves[:, 0] / 40, moves[:, 1] / 80
    np.testing.assert_allclose(np.hypot(x, y), 0.25)
    quadrants = np.bincount((x > 0) * 2 + (y > 0), minlength=4)
    assert quadrants.min() > 70


def test_scale_is_about_the_centre_both_ways():
    scaled = scale_boxes(MANY, 0.25, rng())
    large, small = [5, 10, 55, 110], [14, 28, 46, 92]
    is_large = np.isclose(scaled, large).all(axis=1)
    is_small = np.isclose(scaled, small).all(axis=1)
    assert (is_large | is_small).all()
    assert 160 < is_large.sum() < 240


def test_truncation_cuts_one_side_inwards():
    cut = truncate_boxes(MANY, 0.25, rng())
    expected = np.repeat(BOX, 4, axis=0)
    expected[np.arange(4), np.arange(4)] = [20, 40, 40, 80]
    which = np.isclose(cut[:, None], expected[None]).all(axis=2)
    assert (which.sum(axis=1) == 1).all()
    assert which.sum(axis=0).min() > 70


@pytest.mark.parametrize(
    'factor, expected',
    [
        (0, [10, 20, 50, 100]),
        (1, [14, 10, 60, 90]),
        (2, [18, 0, 70, 80]),
        (0.5, [12, 15, 55, 95]),
    ],
)
def test_amplification_by_hand(factor, expected):
    detection = np.array([[14.0, 10.0, 60.0, 90.0]])
    boxes = amplify_errors(BOX, detection, factor)
    np.testing.assert_array_equal(boxes, [expected])


def test_crossing_sides_leave_a_thin_box():
    # x: 10 + 4 * 15 = 70 and 50 - 4 * 5 = 30 cross, their middle is 50
    detection = np.array([[25.0, 20.0, 45.0, 100.0]])
    boxes = amplify_errors(BOX, detection, 4)
    half = MIN_SIDE / 2
    np.testing.assert_allclose(boxes, [[50 - half, 20, 50 + half, 100]])


@given(some_boxes(), some_boxes())
def test_factors_0_and_1_are_exact(boxes, detections):
    np.testing.assert_array_equal(amplify_errors(boxes, detections, 0), boxes)
    np.testing.assert_array_equal(
        amplify_errors(boxes, detections, 1), detections
    )


@given(some_boxes(), some_boxes(), st.floats(0, 20))
def test_amplified_boxes_are_not_empty(boxes, detections, factor):
    result = amplify_errors(boxes, detections, factor)
    assert (result[:, 2:] > result[:, :2]).all()


@given(some_boxes(), st.floats(0, 0.99), st.integers(0, 99))
def test_drawn_boxes_are_not_empty(boxes, size, seed):
    for function in DRAWN:
        result = function(boxes, size, np.random.default_rng(seed))
        assert (result[:, 2:] > result[:, :2]).all(), function


@pytest.mark.parametrize('function', DRAWN)
def test_the_direction_does_not_depend_on_the_size(function):
    boxes = MANY[:50]
    assert (function(boxes, 0, rng()) == boxes).all()
    small = function(boxes, 1e-3, rng()) - boxes
    large = function(boxes, 2e-3, rng()) - boxes
    np.testing.assert_allclose(large, 2 * small, rtol=2e-3)
    assert np.abs(small).max(axis=1).min() > 0


@pytest.mark.parametrize('function', DRAWN)
def test_no_boxes_and_the_input_stays(function):
    assert function(np.zeros((0, 4)), 0.1, rng()).shape == (0, 4)
    boxes = BOX.copy()
    function(boxes, 0.3, rng())
    assert (boxes == BOX).all()


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize(
    'boxes, size, said',
    [
        ([[10, 20, 10, 40]], 0.1, 'box 0 .* is empty'),
        ([[10, 20, 30, np.nan]], 0.1, 'not finite'),
        ([[10, 20, 30, np.inf]], 0.1, 'not finite'),
        ([10, 20, 30, 40], 0.1, r'\(N, 4\)'),
        (BOX, -0.1, 'at least 0'),
        (BOX, np.nan, 'at least 0'),
    ],
)
def test_what_is_no_error_is_refused(function, boxes, size, said):
    with pytest.raises(ValueError, match=said):
        function(np.array(boxes), size, rng())


def test_more_refusals():
    with pytest.raises(ValueError, match='leave nothing'):
        truncate_boxes(BOX, 1, rng())
    with pytest.raises(ValueError, match='do not pair'):
        amplify_errors(MANY, BOX, 1)
