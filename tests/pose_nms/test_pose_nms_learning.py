"""Learning the four parameters on made-up poses."""

import numpy as np
import pytest
from redundant_poses import redundant_poses

from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms import learning as pose_nms_learning
from rmpe_spm.pose_nms.learning import PLANES, cross_validate, learn
from rmpe_spm.pose_nms.learning_problem import RANGES, PoseNMSProblem
from rmpe_spm.pose_nms.rule import make_rule

SIGMAS = np.array(COCO_SIGMAS)
POSES = redundant_poses()


@pytest.mark.parametrize('preset', ['mpii', 'coco'])
def test_learned_rule_is_better_and_its_ap_true(preset):
    rule = make_rule(preset, rank_by='score', eta=0.1, merge=None)
    problem = PoseNMSProblem(POSES, SIGMAS, rule)
    start = problem.evaluate(**{name: getattr(rule, name) for name in RANGES})
    planes = []
    learned, ap = learn(problem, cells=5, zooms=1, on_plane=planes.append)
    values = {name: getattr(learned, name) for name in RANGES}
    assert ap == problem.evaluate(**values)
    assert ap > start + 0.05
    assert ap > problem.ap() + 0.02
    assert learned.merge is None and learned.rank_by == 'score'
    assert [plane.names for plane in planes[:4]] == [
        PLANES[0],
        PLANES[0],
        PLANES[1],
        PLANES[1],
    ]
    assert [plane.zoom for plane in planes[:4]] == [0, 1, 0, 1]
    # a round without gain was the last
    rounds = planes[-1].round
    assert planes[-1].round < 10 and len(planes) == 4 * rounds
    for plane in planes:
        row = plane.rows.tolist().index(plane.best[0])
        column = plane.columns.tolist().index(plane.best[1])
        assert plane.ap[row, column] == plane.best_ap <= np.nanmax(plane.ap)
    assert max(plane.best_ap for plane in planes) == ap
    # a grid around the best cell, one cell wide, within the range
    for coarse, fine, name in (
        (planes[0].rows, planes[1].rows, 'lambda_'),
        (planes[2].rows, planes[3].rows, 'sigma1'),
    ):
        assert fine[-1] / fine[0] <= (coarse[1] / coarse[0]) ** 2 * 1.001
        assert RANGES[name][0] <= fine[0] and fine[-1] <= RANGES[name][1]


def test_learning_goes_on_from_where_it_stopped():
    rule = make_rule('mpii', rank_by='score')
    problem = PoseNMSProblem(POSES, SIGMAS, rule)
    best, ap = learn(problem, cells=5, zooms=0, max_rounds=3)
    again = PoseNMSProblem(POSES, SIGMAS, best)
    planes = []
    _, same = learn(again, cells=5, zooms=0, on_plane=planes.append)
    assert same >= ap
    one = []
    learn(problem, cells=3, zooms=0, max_rounds=1, on_plane=one.append)
    assert len(one) == 2


class Grid:
    """AP 1 in a block of the plane, and more in one cell outside of it."""

    def evaluate(self, sigma1, sigma2, lambda_, eta):
        if eta > 1 + lambda_:
            return float('nan')
        if abs(lambda_ - RANGES['lambda_'][1]) < 1e-6 and eta < 0.051:
            return 2.0
        return float(0.1 < lambda_ < 3 and 0.1 < eta < 0.9)


def test_cell_with_the_best_surroundings_is_chosen():
    values = dict(sigma1=1.0, sigma2=1.0, lambda_=1.0, eta=1.0)
    limits = [RANGES['lambda_'], RANGES['eta']]
    plane = pose_nms_learning._search(
        Grid(), values, ('lambda_', 'eta'), limits, 13
    )
    rows = plane.rows[(plane.rows > 0.1) & (plane.rows < 3)]
    columns = plane.columns[(plane.columns > 0.1) & (plane.columns < 0.9)]
    assert rows[0] < plane.best[0] < rows[-1]
    assert columns[0] < plane.best[1] < columns[-1]
    assert plane.best_ap == 1 and np.nanmax(plane.ap) == 2
    assert np.isnan(plane.ap[0, -1])


def test_start_that_no_cell_reaches_stays():
    class Peak:
        def __init__(self):
            self.i = [0]
            self.rule = make_rule('mpii')
            self.start = {name: getattr(self.rule, name) for name in RANGES}

        def evaluate(self, **values):
            return 0.9 if values == self.start else 0.5

        def forget(self):
            pass

    assert learn(Peak(), cells=4) == (make_rule('mpii'), 0.9)


def test_cross_validation_learns_on_the_other_images():
    rule = make_rule('mpii', rank_by='score', merge=None, eta=0.1)
    found = cross_validate(POSES, SIGMAS, rule, folds=2, cells=4)
    people = [len(truth.areas) for truth in POSES.truths]
    order = np.argsort(people, kind='stable')[::-1]
    expected = []
    for first in (0, 1):
        held_out, rest = order[first::2], order[1 - first :: 2]
        problem = PoseNMSProblem(POSES.subset(np.sort(rest)), SIGMAS, rule)
        learned, _ = learn(problem, cells=4, zooms=1, max_rounds=2)
        values = {name: getattr(learned, name) for name in RANGES}
        held_out = POSES.subset(np.sort(held_out))
        other = PoseNMSProblem(held_out, SIGMAS, rule)
        expected.append(other.evaluate(**values))
    assert found == pytest.approx(np.mean(expected), abs=1e-12)
    with pytest.raises(ValueError, match='20 parts need'):
        cross_validate(POSES, SIGMAS, rule, folds=20)


def test_results_without_redundancy():
    far = POSES.subset([0])
    far.keypoints = [far.keypoints[0][:1]]
    for name in ('keypoint_scores', 'bboxes_xyxy', 'scores'):
        setattr(far, name, [getattr(far, name)[0][:1]])
    problem = PoseNMSProblem(far, SIGMAS, make_rule('coco'))
    assert 0 <= problem.evaluate(**problem.start) == problem.ap()
    with pytest.raises(ValueError, match='nothing to learn'):
        learn(problem)
