"""The presets, the checks of their parameters, and files of learned ones."""

import json
import math

import pytest

from rmpe_spm.pose_nms.rule import PRESETS, load_rule, make_rule, save_rule


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
        (dict(sigma1=0), 'sigma1 must be positive, but got 0'),
        (dict(sigma2=math.nan), 'sigma2 must be positive'),
        (dict(lambda_=-1.0), 'lambda_ is negative'),
        (dict(eta=22.48), r'22.48 / 16 = 1.405'),
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
    with pytest.raises(TypeError, match="'delta1'"):
        make_rule('coco', delta1=1)
    with pytest.raises(TypeError, match="'sigma1' and 'eta'"):
        make_rule(sigma2=1, lambda_=1)


@pytest.mark.parametrize('preset', list(PRESETS))
def test_there_and_back(preset, tmp_path):
    path = tmp_path / 'new' / 'rule.json'
    save_rule(path, make_rule(preset), dict(data='results.json', images=3))
    assert load_rule(path) == make_rule(preset)
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content['format'] == 'rmpe_spm.pose_nms'
    assert content['version'] == 1
    assert content['provenance'] == dict(data='results.json', images=3)


def test_files_that_are_refused(tmp_path):
    path = tmp_path / 'rule.json'
    with pytest.raises(FileNotFoundError, match='learn_pose_nms'):
        load_rule(path)
    save_rule(path, make_rule('coco'), {})
    good = json.loads(path.read_text())
    for change, message in (
        ([], 'no file of tools/learn_pose_nms'),
        ({**good, 'format': 'other'}, "'other', 1.*'rmpe_spm.pose_nms', 1"),
        ({**good, 'version': 2}, "nms', 2.*nms', 1"),
        ({k: good[k] for k in ('format', 'version')}, 'no entry .param'),
        ({**good, 'parameters': {'sigma1': 1}}, "'sigma2'"),
        ({**good, 'parameters': {**good['parameters'], 'eta': -1}}, 'eta'),
        ({**good, 'parameters': {**good['parameters'], 'x': 1}}, "'x'"),
    ):
        path.write_text(json.dumps(change))
        with pytest.raises(ValueError, match=message) as error:
            load_rule(path)
        assert str(path) in str(error.value)
    path.write_text('{')
    with pytest.raises(ValueError, match='not a JSON file'):
        load_rule(path)
