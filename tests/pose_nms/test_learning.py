"""Learning the four parameters on made-up poses."""

import numpy as np
import pytest

from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet
from rmpe_spm.experiments.pose_nms_report import compare_nms
from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms import learning
from rmpe_spm.pose_nms.learning import (
    PLANES,
    RANGES,
    PoseNMSProblem,
    cross_validate,
    learn,
)
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import make_rule

SIGMAS = np.array(COCO_SIGMAS)


def redundant_poses(seed=0, images=15):
    """People, neighbours that are others, and several poses of each."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(images):
        people = rng.integers(1, 5)
        base = rng.uniform(0, 100, (17, 2))
        offsets = np.arange(people)[:, None, None] * [[[18.0, 0.0]]]
        truth = base + offsets + rng.normal(size=(people, 17, 2)) * 2
        boxes = np.concatenate([truth.min(1), truth.max(1)], 1)
        owner = np.repeat(np.arange(people), rng.integers(1, 5, people))
        noise = rng.uniform(0.5, 4, (len(owner), 1, 1))
        poses = truth[owner] + rng.normal(size=(len(owner), 17, 2)) * noise
        quality = 1 / (1 + noise[:, 0])
        scores = np.clip(quality + rng.normal(size=(len(owner), 17)) / 9, 0, 1)
        joints = np.concatenate([truth, np.full((people, 17, 1), 2.0)], 2)
        sizes = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
        people = ImageGroundTruth(
            joints,
            np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1),
            0.5 * sizes,
            np.zeros(people, dtype=bool),
        )
        ranks = scores.mean(1) + rng.normal(size=len(owner)) / 9
        samples.append((people, poses, scores, boxes[owner], ranks))
    return PoseSet(list(range(images)), *map(list, zip(*samples, strict=True)))


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
        suppressed_by = problem.suppressed_by(**values)
        kept = suppressed_by == np.arange(len(suppressed_by))
        assert kept.sum() == score.num_poses
        assert problem.evaluate(**values) == pytest.approx(score.ap, abs=1e-9)
        numbers.add(score.num_poses)
    assert len(numbers) >= 3
    assert np.isnan(problem.evaluate(lambda_=1.0, eta=2.01))


@pytest.mark.parametrize('preset', ['mpii', 'coco'])
def test_learned_rule_is_better_and_its_ap_true(preset):
    rule = make_rule(preset, rank_by='score', eta=0.1, merge=None)
    problem = PoseNMSProblem(POSES, SIGMAS, rule)
    planes = []
    learned, ap = learn(problem, cells=5, zooms=1, on_plane=planes.append)
    values = {name: getattr(learned, name) for name in RANGES}
    assert ap == problem.evaluate(**values)
    assert ap > problem.evaluate() + 0.05
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
    plane = learning._search(Grid(), values, ('lambda_', 'eta'), limits, 13)
    rows = plane.rows[(plane.rows > 0.1) & (plane.rows < 3)]
    columns = plane.columns[(plane.columns > 0.1) & (plane.columns < 0.9)]
    assert rows[0] < plane.best[0] < rows[-1]
    assert columns[0] < plane.best[1] < columns[-1]
    assert plane.best_ap == 1 and np.nanmax(plane.ap) == 2
    assert np.isnan(plane.ap[0, -1])


def test_start_that_no_cell_reaches_stays():
    class Peak:
        i, rule = [0], make_rule('mpii')

        def evaluate(self, **changes):
            return 0.5 if changes else 0.9

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
    assert 0 <= problem.evaluate() == problem.ap()
    with pytest.raises(ValueError, match='nothing to learn'):
        learn(problem)
