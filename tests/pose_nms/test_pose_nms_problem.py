"""The AP of parameters is that of the component with them."""

import numpy as np
import pytest
from redundant_poses import redundant_poses

from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms.learning import compare_nms
from rmpe_spm.pose_nms.learning_problem import RANGES, PoseNMSProblem
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import make_rule

SIGMAS = np.array(COCO_SIGMAS)
POSES = redundant_poses()


@pytest.mark.parametrize('preset', ['mpii', 'coco', 'paper', 'alphapose'])
@pytest.mark.parametrize('rank_by', ['keypoint', 'score'])
@pytest.mark.parametrize('merge', [None, 'max', 'weighted'])
def test_ap_is_that_of_the_component(preset, rank_by, merge):
    # with the preset's 7 px nearly all poses here would match
    fixed = dict(rank_by=rank_by, merge=merge, match_cap=2.0, merge_cap=9.0)
    rule = make_rule(preset, **fixed)
    problem = PoseNMSProblem(POSES, SIGMAS, rule)
    rng = np.random.default_rng(1)
    numbers = set()
    for number in range(8):
        values = {
            name: float(np.exp(rng.uniform(*np.log(limits))))
            for name, limits in RANGES.items()
        }
        values['eta'] = min(values['eta'], 1 + values['lambda_'])
        if number == 0:
            values = {name: getattr(rule, name) for name in RANGES}
        nms = ParametricPoseNMS(preset, **{**fixed, **values})
        (score,) = compare_nms(POSES, dict(nms=nms), SIGMAS).values()
        owners = problem.owners(**values)
        kept = owners == np.arange(len(owners))
        assert kept.sum() == score.num_poses
        assert problem.evaluate(**values) == pytest.approx(score.ap, abs=1e-9)
        numbers.add(score.num_poses)
    assert len(numbers) >= 3
    assert np.isnan(problem.evaluate(1.0, 1.0, 1.0, 2.01))


def test_results_without_redundancy_stay():
    far = POSES.subset([0])
    far.keypoints = [far.keypoints[0][:1]]
    for name in ('keypoint_scores', 'bboxes_xyxy', 'scores'):
        setattr(far, name, [getattr(far, name)[0][:1]])
    problem = PoseNMSProblem(far, SIGMAS, make_rule('coco'))
    assert 0 <= problem.evaluate(**problem.start) == problem.ap()
