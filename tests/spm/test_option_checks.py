import pytest

from rmpe_spm.spm.codec import HierarchicalSPRCodec
from rmpe_spm.spm.codec_options import resolve_normalizer

SMALL = dict(input_size=(96, 80), heatmap_size=(24, 20), sigma=4, tau=3)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(overlap='max'), "overlap must be one of 'mean'"),
        (dict(unit='pixel'), 'unit must be'),
        (dict(gaussian='x'), 'gaussian must be'),
        (dict(window='round'), 'window must be'),
        (dict(displacement_location='joint'), 'displacement_location'),
        (dict(missing_parent='zero'), 'missing_parent'),
        (dict(root_type='centroid'), "unknown joint 'centroid'"),
        (dict(root_type=17), 'root_type=17'),
        (dict(kinematics=[-1] * 3, root_type='pelvis'), 'joint_names'),
        (dict(normalizer=0), 'normalizer'),
        (dict(normalizer='image'), 'normalizer'),
        (dict(sigma=0), 'sigma must be positive'),
        (dict(tau=0.5), 'half the diagonal'),
        (dict(tau=2, unit='input'), 'half the diagonal'),
        (dict(decode_nms_kernel=4), 'odd'),
        (dict(decode_thr=-0.1), 'decode_thr must not be negative'),
        (dict(generate_keypoint_offsets=True), 'generate_keypoint_heatmaps'),
        (
            dict(displacement_location='parent', generate_joint_offsets=True),
            "displacement_location='root'",
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalSPRCodec(**(SMALL | options))


@pytest.mark.parametrize(
    ('normalizer', 'expected'),
    [('diagonal', 5.0), (None, 1.0), (7, 7.0), (0.5, 0.5)],
)
def test_resolve_normalizer(normalizer, expected):
    assert resolve_normalizer(normalizer, (3, 4)) == expected
