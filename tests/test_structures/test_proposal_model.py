import copy
import json

import numpy as np
import pytest

from rmpe_spm.structures.proposal_model import (
    OffsetModel,
    PeopleGroup,
    ProposalModel,
    SideMixture,
)

NAMES = ['head', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']
UPRIGHT = np.array(
    [[0, -0.8], [0.25, -0.5], [-0.25, -0.5], [0.2, 0.5], [-0.2, 0.5]]
)
LYING = UPRIGHT[:, ::-1]


def offset_model(seed, num_components=2):
    rng = np.random.default_rng(seed)
    mixtures = []
    for _ in range(4):
        weights = rng.random(num_components)
        mixtures.append(
            SideMixture(
                (weights / weights.sum()).tolist(),
                rng.normal(0, 0.1, num_components).tolist(),
                rng.uniform(0.01, 0.1, num_components).tolist(),
            )
        )
    return OffsetModel(
        rng.normal(0, 0.1, 4).tolist(), rng.random(4).tolist(), mixtures
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


@pytest.mark.parametrize(
    ('uniform', 'expected'),
    [(0.0, 3), (0.299, 3), (0.3, -8), (0.799, -8), (0.8, 11), (0.999, 11)],
)
def test_side_mixture_by_hand(uniform, expected):
    mixture = SideMixture([0.3, 0.5, 0.2], [1, -2, 5], [1, -3, 3])
    assert mixture.offset(uniform, 2.0) == expected


def test_side_mixture_density_by_hand():
    mixture = SideMixture([0.25, 0.75], [0.0, 1.0], [1.0, 2.0])
    points = np.array([[0.0, 1.0]])
    root = np.sqrt(2 * np.pi)
    expected = [
        0.25 / root + 0.75 / (2 * root) * np.exp(-0.125),
        0.25 / root * np.exp(-0.5) + 0.75 / (2 * root),
    ]
    np.testing.assert_allclose(mixture.density(points), [expected])


def test_offsets_by_hand():
    sides = [SideMixture([0.5, 0.5], [k, -k], [1, 10]) for k in range(4)]
    model = OffsetModel([1, 2, 3, 4], [5, 6, 7, 8], sides)
    assert model.gaussian_offsets([0, 1, -1, 2]) == [1, 8, -4, 20]
    offsets = model.mixture_offsets([0.1, 0.9, 0.1, 0.9], [3, 4, 5, 6])
    assert offsets == [3, 39, 7, 57]


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
