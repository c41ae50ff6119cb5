import warnings

import pytest

from rmpe_spm.spm.codec_options import check_test_options, pose_nms_config


@pytest.mark.parametrize(
    'test_cfg',
    [
        {},
        dict(flip_test=True, nms_dist_thr=0.05, max_num_people=30),
        dict(nms=None, snap_thr=0.1, snap_distance=0.15, align_corners=False),
        dict(multiscale_test=True, pose_size_range=(1, 9), nms_dist_thr=0.1),
        dict(multiscale_test=True, max_num_people=90),
    ],
    ids=str,
)
def test_options_that_go_together(test_cfg):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_test_options(test_cfg, 30)


def test_an_unknown_option_is_told():
    with pytest.warns(UserWarning, match='has nms_dist_th, .*nms_dist_thr'):
        check_test_options(dict(nms_dist_th=0.05), 30)


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [
        (dict(max_num_people=31), 'decode_max_instances=30'),
        (dict(pose_size_range=(1, 9)), 'needs multiscale_test'),
        (
            dict(pose_size_range=(1, 9), multiscale_test=True),
            'set `nms_dist_thr`',
        ),
    ],
)
def test_options_that_do_not(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        check_test_options(test_cfg, 30)


@pytest.mark.parametrize(
    ('test_cfg', 'config'),
    [
        ({}, None),
        (dict(nms=None, nms_dist_thr=0, nms_joints_thr=8), None),
        (
            dict(nms_dist_thr=0.05),
            dict(
                type='NearbyJointsNMS', dist_thr=0.05, num_nearby_joints=None
            ),
        ),
        (
            dict(nms_dist_thr=0.05, nms_joints_thr=8),
            dict(type='NearbyJointsNMS', dist_thr=0.05, num_nearby_joints=8),
        ),
        (dict(nms=dict(type='OKSNMS'), nms_dist_thr=1), dict(type='OKSNMS')),
    ],
    ids=str,
)
def test_the_pose_nms(test_cfg, config):
    assert pose_nms_config(test_cfg) == config
