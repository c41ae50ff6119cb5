"""The presets and the checks of their parameters."""

import math

import pytest

from rmpe_spm.pose_nms.rule import PRESETS, make_rule


def test_released_constants():
    mpii, coco = make_rule('mpii'), make_rule('coco')
    assert (mpii.sigma1, mpii.lambda_, mpii.sigma2) == (0.01, 2.08, 2.08)
    assert mpii.eta * 16 == pytest.approx(22.48)
    assert mpii.match_fraction is None and mpii.merge == 'max'
    assert mpii.merge_cap == math.inf
    assert (coco.sigma1, coco.lambda_, coco.sigma2) == (1, 1.7, 2.65)
    assert coco.eta * 17 == pytest.approx(22.48)
    assert coco.match_fraction * 17 == pytest.approx(5)
    assert (coco.match_cap, coco.merge_cap) == (7, 15)
    assert coco.merge == 'weighted'
    assert all(make_rule(name).alpha == 0.1 for name in PRESETS)
    paper = make_rule('paper')
    assert (paper.box_shape, paper.kernel) == ('rectangle', 'gaussian')
    assert paper.merge is None


def test_overrides():
    rule = make_rule('coco', eta=1, merge=None)
    assert (rule.eta, rule.merge, rule.sigma2) == (1, None, 2.65)
    rule = make_rule(sigma1=1, sigma2=2, lambda_=0, eta=1)
    assert rule.match_fraction is None and rule.lambda_ == 0


@pytest.mark.parametrize(
    'change,message',
    [
        (dict(sigma1=0), 'sigma1 must be a positive number, but got 0'),
        (dict(sigma2=math.nan), 'sigma2 must be a positive number'),
        (dict(lambda_=-1.0), 'lambda_ must be a non-negative number'),
        (dict(eta='1'), "eta must be a positive number, but got '1'"),
        (dict(eta=True), 'eta must be'),
        (dict(eta=22.48), r'22.48 / 16 = 1.405'),
        (dict(alpha=math.inf), 'alpha must be'),
        (dict(match_fraction=5), 'a part of the joints'),
        (dict(merge_cap=-1), 'merge_cap must be'),
        (dict(merge='mean'), "merge must be one of .* but got 'mean'"),
        (dict(kernel='box'), 'kernel must be one of'),
    ],
)
def test_values_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        make_rule('coco', **change)


def test_names_that_do_not_exist():
    with pytest.raises(ValueError, match="preset must be one of .*'rmpe'"):
        make_rule('rmpe')
    with pytest.raises(TypeError, match="'delta1'; there are sigma1"):
        make_rule('coco', delta1=1)
    with pytest.raises(TypeError, match='needs sigma1, eta$'):
        make_rule(sigma2=1, lambda_=1)


@pytest.mark.parametrize(
    'preset,change,radius,fraction',
    [
        # beyond the box of 1: 2.08 exp(-1 / 2.08) = 1.2861
        ('mpii', {}, 1.0, (1.405 - 1.2861) / (3.08 - 1.2861)),
        ('mpii', dict(lambda_=0.0, eta=0.5), 1.0, 0.5),
        # 2.08 exp(-r / 2.08) = 0.2 at r = 4.871: one joint may be enough
        ('mpii', dict(eta=0.2), 4.871, 0.0),
        ('paper', dict(eta=0.2), 2.2071, 0.0),
        # the corners of a rectangle held at one pixel
        ('paper', {}, math.sqrt(2), (1.405 - 0.7951) / (3.08 - 0.7951)),
        ('coco', {}, 1.0, (22.48 / 17 - 1.16564) / (2.7 - 1.16564)),
        ('coco', dict(match_fraction=0.05), 1.0, 0.05),
    ],
)
def test_condition_for_the_search(preset, change, radius, fraction):
    found = make_rule(preset, **change).near_joints()
    assert found == pytest.approx((radius, fraction), abs=2e-4)
