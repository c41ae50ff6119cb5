import copy
import json

import numpy as np
import pytest

from rmpe_spm.structures.proposal_model import (
    OffsetModel,
    PeopleGroup,
    ProposalModel,
)

NAMES = ['head', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']
UPRIGHT = np.array(
    [[0, -0.8], [0.25, -0.5], [-0.25, -0.5], [0.2, 0.5], [-0.2, 0.5]]
)
LYING = UPRIGHT[:, ::-1]


def offset_model(seed, num_components=2):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(num_components, 4, 4)) * 0.1
    weights = rng.random(num_components)
    return OffsetModel(
        mean=rng.normal(size=4) * 0.1,
        std=rng.random(4) * 0.1,
        weights=weights / weights.sum(),
        means=rng.normal(size=(num_components, 4)) * 0.1,
        covariances=factors @ factors.transpose(0, 2, 1) + 1e-3 * np.eye(4),
    )


def proposal_model():
    return ProposalModel(
        keypoint_names=NAMES,
        atoms=np.stack([UPRIGHT, LYING]),
        atom_groups=[
            PeopleGroup(50, 40, offset_model(0)),
            PeopleGroup(5, 2, None),
        ],
        no_torso=PeopleGroup(30, 25, offset_model(1, 1)),
        everybody=PeopleGroup(85, 67, offset_model(2, 3)),
        atom_selection={'criterion': 'given'},
        provenance={'date': '2020-02-02'},
    )


@pytest.mark.parametrize('uniform', [0.0, 0.299, 0.3, 0.999])
def test_mixture_offsets_by_hand(uniform):
    model = OffsetModel(
        mean=np.zeros(4),
        std=np.ones(4),
        weights=np.array([0.3, 0.7]),
        means=np.array([[1.0, 2, 3, 4], [-1, -2, -3, -4]]),
        covariances=np.stack([np.eye(4), np.diag([4.0, 9, 16, 25])]),
    )
    offsets = model.mixture_offsets(uniform, np.array([1.0, 1, -1, 0]))
    expected = [2, 3, 2, 4] if uniform < 0.3 else [1, 1, -7, -4]
    np.testing.assert_allclose(offsets, expected)


def test_mixture_offsets_have_the_covariance():
    model = offset_model(3, 1)
    normal = np.random.default_rng(0).standard_normal((20000, 4))
    samples = np.stack([model.mixture_offsets(0.5, z) for z in normal])
    # the standard error of an entry is below sqrt(2 / n) of the largest
    covariance = model.covariances[0]
    error = np.abs(np.cov(samples.T) - covariance)
    assert error.max() < 4 * np.sqrt(2 / 20000) * covariance.max()


def test_gaussian_offsets_by_hand():
    model = offset_model(0)
    offsets = model.gaussian_offsets(np.array([0, 1.0, -2, 3]))
    np.testing.assert_allclose(
        offsets,
        model.mean + [0, model.std[1], -2 * model.std[2], 3 * model.std[3]],
    )


@pytest.mark.parametrize(('pose', 'index'), [(UPRIGHT, 0), (LYING, 1)])
def test_atom_index_of_a_moved_pose(pose, index):
    model = proposal_model()
    keypoints = (pose * 37 + [100, 50]).astype(np.float32)
    assert model.atom_index(keypoints, np.ones(5, bool)) == index
    keypoints[0] = np.nan
    assert model.atom_index(keypoints, np.ones(5, bool)) == index


def test_offsets_of_each_group():
    model = proposal_model()
    visible = np.ones(5, bool)
    atom = model.offsets_of(UPRIGHT, visible)
    assert atom is model.atom_groups[0].offsets
    # too few matches for this atom
    assert model.offsets_of(LYING, visible) is model.everybody.offsets
    visible[3:] = False
    assert model.atom_index(UPRIGHT, visible) is None
    assert model.offsets_of(UPRIGHT, visible) is model.no_torso.offsets


def test_there_and_back(tmp_path):
    model = proposal_model()
    path = tmp_path / 'new' / 'model.json'
    model.save(path)
    loaded = ProposalModel.load(path)
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
        for name in ('mean', 'std', 'weights', 'means', 'covariances'):
            np.testing.assert_allclose(
                getattr(ours.offsets, name),
                getattr(theirs.offsets, name),
                atol=2e-7,
            )
    # Writing what was read gives the same file.
    loaded.save(tmp_path / 'again.json')
    assert (tmp_path / 'again.json').read_bytes() == path.read_bytes()


def test_load_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json.*fit_pgpg'):
        ProposalModel.load(tmp_path / 'none.json')


def test_load_refuses_what_is_not_json(tmp_path):
    path = tmp_path / 'model.json'
    path.write_text('{"format": "rmpe_spm.pgpg", ')
    with pytest.raises(ValueError, match=r'model\.json: not a JSON file'):
        ProposalModel.load(path)


MIXTURE = ('atoms', 0, 'offsets', 'mixture', 1)


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
        (('atoms', 0, 'offsets', 'mixture'), [], 'no component'),
        ((*MIXTURE, 'weight'), 0.9, 'sum must be 1'),
        ((*MIXTURE, 'covariance', 0, 0), -1, 'positive'),
        ((*MIXTURE, 'covariance', 0, 1), 0.5, 'symmetric'),
        ((*MIXTURE, 'mean', 1), float('nan'), 'not finite'),
        (('no_torso',), None, "'no_torso' has no entry"),
        (('global', 'offsets'), None, "'global' has no 'offsets'"),
        (('global', 'offsets'), 'x', "has no entry 'mean'"),
    ],
)
def test_load_refuses_damage(tmp_path, place, value, message):
    content = copy.deepcopy(proposal_model().to_dict())
    entry = content
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        ProposalModel.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    'key', ['keypoint_names', 'atoms', 'no_torso', 'global']
)
def test_load_refuses_a_missing_entry(tmp_path, key):
    content = proposal_model().to_dict()
    del content[key]
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'no entry {key!r}'):
        ProposalModel.load(path)


@pytest.mark.parametrize('content', [[], None, 3, 'text'])
def test_load_refuses_other_json(tmp_path, content):
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'format'"):
        ProposalModel.load(path)
