"""Files of learned parameters."""

import json

import pytest

from rmpe_spm.pose_nms.rule import PRESETS, load_rule, make_rule, save_rule


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
        ([], 'its "format" is not'),
        ({**good, 'format': 'other'}, 'its "format" is not'),
        ({**good, 'version': 2}, 'version 2 .* reads version 1'),
        ({**good, 'parameters': 3}, 'lacks its "parameters"'),
        ({**good, 'parameters': {'sigma1': 1}}, 'needs sigma2'),
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
