import copy
import json

import numpy as np
import pytest

from rmpe_spm.rmpe.pgpg_model_file import (
    load_proposal_model,
    proposal_model_to_dict,
    save_proposal_model,
)

from .test_proposal_model import NAMES, proposal_model


def test_there_and_back(tmp_path):
    model = proposal_model()
    path = tmp_path / 'new' / 'model.json'
    save_proposal_model(model, path)
    loaded = load_proposal_model(path)
    np.testing.assert_allclose(loaded.atoms, model.atoms, atol=1e-7)
    assert loaded.keypoint_names == NAMES
    assert loaded.atom_selection == model.atom_selection
    assert loaded.provenance == model.provenance
    assert loaded.atom_groups[1] == model.atom_groups[1]
    for ours, theirs in (
        (loaded.atom_groups[0], model.atom_groups[0]),
        (loaded.no_torso, model.no_torso),
        (loaded.everybody, model.everybody),
    ):
        assert ours.num_people == theirs.num_people
        assert ours.num_matches == theirs.num_matches
        for name in ('mean', 'std'):
            np.testing.assert_allclose(
                getattr(ours.offsets, name),
                getattr(theirs.offsets, name),
                atol=1e-7,
            )
        for side in range(4):
            for name in ('weights', 'means', 'stds'):
                np.testing.assert_allclose(
                    getattr(ours.offsets.mixtures[side], name),
                    getattr(theirs.offsets.mixtures[side], name),
                    atol=1e-6,
                )
    # Writing what was read gives the same file.
    save_proposal_model(loaded, tmp_path / 'again.json')
    assert (tmp_path / 'again.json').read_bytes() == path.read_bytes()


def test_load_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json.*fit_pgpg'):
        load_proposal_model(tmp_path / 'none.json')


def test_load_refuses_what_is_not_json(tmp_path):
    path = tmp_path / 'model.json'
    path.write_text('{"format": "rmpe_spm.pgpg", ')
    with pytest.raises(ValueError, match=r'model\.json: not a JSON file'):
        load_proposal_model(path)


MIXTURES = ('atoms', 0, 'offsets', 'mixtures')


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        (('format',), 'coco', "'format' is not 'rmpe_spm.pgpg'"),
        (('version',), 2, "'version' is 2"),
        (('keypoint_names',), 'head', 'not a list of names'),
        (('keypoint_names', 3), 'tail', 'left_hip'),
        (('keypoint_names',), NAMES[1:], r"\['pose'\] has shape \(5, 2\)"),
        (('atoms',), [], 'at least one atom'),
        (('atoms', 1), {}, r"'atoms'\[1\] has no entry 'pose'"),
        (('atoms', 1, 'pose', 2), [1, None], r'\[1\].*not finite'),
        (('atoms', 1, 'pose', 2), [1, 'x'], 'not made of numbers'),
        (('atoms', 1, 'pose', 2), [1], 'not made of numbers'),
        (('atoms', 0, 'num_people'), -1, 'not a count'),
        (('atoms', 0, 'offsets', 'mean'), [1, 2, 3], r'shape \(3,\)'),
        (('atoms', 0, 'offsets', 'std', 1), -0.1, 'negative'),
        (MIXTURES, [], 'list of four'),
        ((*MIXTURES, 2, 'weights'), [], 'no component'),
        ((*MIXTURES, 2, 'weights'), 1, 'no component'),
        ((*MIXTURES, 2, 'weights', 0), 0.99, 'sum must be 1'),
        ((*MIXTURES, 2, 'weights'), [1.5, -0.5], 'not be negative'),
        ((*MIXTURES, 2, 'stds', 0), 0, r'\[2\].*not positive'),
        ((*MIXTURES, 2, 'stds'), [1], r'shape \(1,\), not \(2,\)'),
        ((*MIXTURES, 2, 'means', 1), float('nan'), 'not finite'),
        (('no_torso',), None, "'no_torso' has no entry"),
        (('global', 'offsets'), None, "'global' has no 'offsets'"),
        (('global', 'offsets'), 'x', "has no entry 'mean'"),
    ],
)
def test_load_refuses_damage(tmp_path, place, value, message):
    content = copy.deepcopy(proposal_model_to_dict(proposal_model()))
    entry = content
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        load_proposal_model(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    'key', ['keypoint_names', 'atoms', 'no_torso', 'global']
)
def test_load_refuses_a_missing_entry(tmp_path, key):
    content = proposal_model_to_dict(proposal_model())
    del content[key]
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'no entry {key!r}'):
        load_proposal_model(path)


@pytest.mark.parametrize('content', [[], None, 3, 'text'])
def test_load_refuses_other_json(tmp_path, content):
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'format'"):
        load_proposal_model(path)
