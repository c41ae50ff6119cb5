import pytest
from mmpose.registry import TASK_UTILS

from rmpe_spm.coco.metric import choose_nms


def test_ours_is_taken_as_it_is():
    nms = dict(type='NearbyJointsNMS')
    assert choose_nms(nms, None, None) is nms
    assert choose_nms(None, None, None) is None


def test_mmposes_names():
    assert choose_nms(None, 'none', 0.5) is None
    assert choose_nms(None, 'oks_nms', None) == dict(type='OKSNMS', thr=0.9)
    assert choose_nms(None, 'oks_nms', 0.0)['thr'] == 0
    soft = TASK_UTILS.build(choose_nms(None, 'soft_oks_nms', 0.4))
    assert (soft.sigma, soft.max_dets, soft.keep_scores) == (0.4, 20, True)


def test_what_does_not_go_together():
    with pytest.raises(ValueError, match='both nms='):
        choose_nms(dict(type='OKSNMS'), 'oks_nms', None)
    with pytest.raises(ValueError, match='belongs to nms_mode'):
        choose_nms(None, None, 0.9)
    with pytest.raises(ValueError, match="'oks' *$|must be one of .*'oks'"):
        choose_nms(None, 'oks', None)
