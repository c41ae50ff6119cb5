import json

import numpy as np
import pytest

from rmpe_spm.coco.joint_errors import JointErrors
from rmpe_spm.experiments.spm_comparison import (
    compare_joint_errors,
    draw_error_by_distance,
    error_tables,
    over_seeds,
)

NAMES = ['nose', 'left_hip', 'right_hip']
NAN = np.nan
DISTANCES = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, NAN]])


def result(*errors):
    return JointErrors(np.array(errors), DISTANCES)


@pytest.fixture
def comparison():
    return compare_joint_errors(
        {
            'tree': [
                result([0.1, 0.2, 0.4], [0.3, NAN, NAN]),
                result([0.3, 0.2, 0.6], [0.3, 0.1, NAN]),
            ],
            'star': [
                result([0.5, 0.4, 0.8], [0.5, 0.1, NAN]),
                result([0.5, 0.4, 0.8], [0.5, 0.1, NAN]),
            ],
        },
        NAMES,
        num_bins=2,
    )


def test_compares_common_joints(comparison):
    assert comparison['num_people'] == 2 and comparison['num_joints'] == 4
    nose = comparison['joints']['nose']
    assert nose['count'] == 2 and nose['root_distance'] == 1
    np.testing.assert_allclose(nose['mean']['tree'], [0.2, 0.3])
    np.testing.assert_allclose(nose['mean']['star'], [0.5, 0.5])
    # left and right together, and each
    hip = comparison['joints']['hip']
    assert hip['count'] == 2 and hip['root_distance'] == 2.5
    np.testing.assert_allclose(hip['median']['tree'], [0.3, 0.4])
    left = comparison['joints']['left_hip']
    assert left['count'] == 1 and left['mean']['tree'] == [0.2, 0.2]


def test_compares_by_distance(comparison):
    by_distance = comparison['root_distance']
    # of the distances 1, 1, 2, 3
    assert by_distance['edges'] == [1, 1.5, 3]
    assert by_distance['centers'] == [1, 2.5]
    np.testing.assert_allclose(
        by_distance['mean']['tree'], [[0.2, 0.3], [0.3, 0.4]]
    )
    assert json.loads(json.dumps(comparison)) == comparison


def test_tables(comparison):
    lines = error_tables(comparison, NAMES).splitlines()
    assert lines[0].startswith('4 joints of 2 people')
    assert lines[2:4] == [
        '| joint | joints | from root | tree mean; median '
        '| star mean; median |',
        '|---|---|---|---|---|',
    ]
    assert lines[4] == (
        '| nose | 2 | 1.00 | 0.250 ± 0.071; 0.250 ± 0.071 '
        '| 0.500 ± 0.000; 0.500 ± 0.000 |'
    )
    assert lines[5].startswith('| hip | 2 | 2.50 |')
    assert lines[-1] == '| 1.50 to 3.00 | 0.350 ± 0.071 | 0.600 ± 0.000 |'


def test_plot(comparison):
    axis = draw_error_by_distance(comparison).axes[0]
    _, labels = axis.get_legend_handles_labels()
    assert labels == ['tree', 'star']
    line, _, (bars,) = axis.containers[0].lines
    spread = [np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments()]
    np.testing.assert_allclose(spread, [0.005**0.5] * 2)
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.25], [2.5, 0.35]])


def test_joint_that_nobody_has():
    distances = DISTANCES.copy()
    distances[:, 0] = NAN
    comparison = compare_joint_errors(
        {'one': [JointErrors(distances, distances)]}, NAMES, num_bins=1
    )
    nose = comparison['joints']['nose']
    assert nose['count'] == 0 and nose['mean']['one'] == [None]
    tables = error_tables(comparison, NAMES)
    assert '| nose' not in tables and '| hip | 3 | 2.33 | 2.333; 2' in tables
    assert draw_error_by_distance(comparison).axes


def test_over_seeds():
    assert over_seeds([0.5]) == '0.500'
    assert over_seeds([0.2, 0.4]) == '0.300 ± 0.141'
