"""Atoms, offsets and the proposal model's file."""

import json

import numpy as np
import pytest
from pgpg_models import (
    LYING,
    MISSING,
    SEEN,
    UPRIGHT,
    damaged,
    offset_model,
    proposal_model,
)

from rmpe_spm.rmpe.pgpg_model import (
    NearestAtom,
    OffsetModel,
    PeopleGroup,
    SideMixture,
    align_pose,
    load_proposal_model,
    proposal_model_to_dict,
    save_proposal_model,
    torso_joints,
)

SHOULDERS, HIPS = (1, 2), (3, 4)
# head; shoulders with middle (20, 10); hips with middle (20, 50)
POSE = np.array([[20, 0], [10, 10], [30, 10], [12, 50], [28, 50]], float)


def test_torso_joints_by_name():
    names = ['nose', 'right_hip', 'left_shoulder', 'left_hip']
    assert torso_joints([*names, 'right_shoulder']) == ((2, 4), (3, 1))
    with pytest.raises(ValueError, match='right_shoulder'):
        torso_joints(names)


def test_align_pose_by_hand():
    # torso 40 long around (20, 30)
    aligned = align_pose(POSE, SEEN, SHOULDERS, HIPS)
    expected = [[0, -0.75], [-0.25, -0.5], [0.25, -0.5], [-0.2, 0.5]]
    np.testing.assert_allclose(aligned, [*expected, [0.2, 0.5]])
    # with one shoulder: the torso is from (30, 10) to (20, 50)
    pose, visible = POSE.copy(), np.array([True, False, True, True, True])
    pose[1] = np.nan  # what a joint that is not visible may hold
    aligned = align_pose(pose, visible, SHOULDERS, HIPS)
    length = np.hypot(10, 40)
    np.testing.assert_allclose(aligned[0], [-5 / length, -30 / length])
    np.testing.assert_array_equal(aligned[1], [0, 0])
    assert np.isfinite(aligned).all()


@pytest.mark.parametrize('hidden', [(1, 2), (3, 4), (0, 1, 2, 3, 4)])
def test_align_pose_without_a_torso(hidden):
    visible = SEEN.copy()
    visible[list(hidden)] = False
    assert align_pose(POSE, visible, SHOULDERS, HIPS) is None


@pytest.mark.parametrize(
    ('hip_y', 'is_aligned'), [(10, False), (13.9, False), (14.1, True)]
)
def test_align_pose_refuses_a_torso_seen_from_its_end(hip_y, is_aligned):
    pose = POSE.copy()
    pose[3:, 1] = hip_y
    pose[0] = (20, 50)  # the joints span 40 from y = 10 to 50
    aligned = align_pose(pose, SEEN, SHOULDERS, HIPS)
    assert (aligned is not None) == is_aligned


def test_nearest_atom_equals_brute_force():
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(6, 5, 2))
    lookup = NearestAtom(atoms)
    found = set()
    for _ in range(200):
        visible = rng.random(5) > 0.4
        pose = rng.normal(size=(5, 2))
        pose[~visible] = 0
        index = lookup(pose, visible)
        distances = [((pose - atom)[visible] ** 2).sum() for atom in atoms]
        assert index == np.argmin(distances)
        found.add(index)
    assert found == set(range(6))


@pytest.mark.parametrize(
    ('uniform', 'expected'),
    [(0.0, 3), (0.299, 3), (0.3, -8), (0.799, -8), (0.8, 11), (0.999, 11)],
)
def test_side_mixture_by_hand(uniform, expected):
    mixture = SideMixture([0.3, 0.5, 0.2], [1, -8, 5], [1, 1e-9, 3])
    assert mixture.offset(uniform, 2.0) == pytest.approx(expected)


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
    model = OffsetModel.gaussian([1, 2, 3, 4], [5, 6, 7, 8])
    assert model.mixture_offsets([0.1] * 4, [0, 1, -1, 2]) == [1, 8, -4, 20]


def test_offsets_of_each_group():
    few = PeopleGroup(5, 2, None)
    model = proposal_model(
        atom_groups=[PeopleGroup(50, 40, offset_model(0.1)), few]
    )
    for index, pose in enumerate((UPRIGHT, LYING)):
        keypoints = (pose * 37 + [100, 50]).astype(np.float32)
        assert model.atom_index(keypoints, SEEN) == index
        keypoints[0] = np.nan
        assert model.atom_index(keypoints, SEEN) == index
    assert model.offsets_of(UPRIGHT, SEEN) is model.atom_groups[0].offsets
    assert model.offsets_of(LYING, SEEN) is model.everybody.offsets
    visible = np.array([True, True, True, False, False])
    assert model.atom_index(UPRIGHT, visible) is None
    assert model.offsets_of(UPRIGHT, visible) is model.no_torso.offsets


def test_there_and_back(tmp_path):
    groups = [
        PeopleGroup(50, 40, offset_model(1 / 3)),
        PeopleGroup(5, 2, None),
    ]
    model = proposal_model(
        atoms=np.stack([POSE, POSE]) / 7, atom_groups=groups
    )
    path = tmp_path / 'new' / 'model.json'
    save_proposal_model(model, path)
    loaded = load_proposal_model(path)
    # what it says, rounded to 7 digits
    assert proposal_model_to_dict(loaded) == proposal_model_to_dict(model)
    np.testing.assert_allclose(loaded.atoms, model.atoms, atol=1e-7)
    assert loaded.atom_groups[0].offsets.mean == pytest.approx([1 / 3] * 4)
    assert loaded.atom_groups[1] == groups[1]
    assert loaded.provenance == model.provenance
    # Writing what was read gives the same file.
    save_proposal_model(loaded, tmp_path / 'again.json')
    assert (tmp_path / 'again.json').read_bytes() == path.read_bytes()


MIXTURES = ('atoms', 0, 'offsets', 'mixtures')


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        (('format',), 'coco', "'coco', 1.*'rmpe_spm.pgpg', 1"),
        (('version',), 2, "'rmpe_spm.pgpg', 2.*'rmpe_spm.pgpg', 1"),
        (('keypoint_names',), 'head', 'have no'),
        (('keypoint_names', 3), 'tail', 'left_hip'),
        (('atoms', 1), {}, "no entry 'pose'"),
        (('atoms', 1, 'pose', 2), [1, 'x'], 'could not'),
        (('atoms', 1, 'pose', 2), [1], 'inhomogeneous'),
        ((*MIXTURES, 2, 'weights'), 1, 'not iterable'),
        (('global', 'offsets'), 'x', 'string indices'),
        *(
            ((key,), MISSING, f'no entry {key!r}')
            for key in ('format', 'keypoint_names', 'no_torso', 'global')
        ),
    ],
)
def test_load_refuses_damage(tmp_path, place, value, message):
    content = proposal_model_to_dict(proposal_model())
    path = tmp_path / 'model.json'
    path.write_text(json.dumps(damaged(content, place, value)))
    with pytest.raises(ValueError, match=message) as error:
        load_proposal_model(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('text', ['[]', 'null', '3', '"text"'])
def test_load_refuses_other_files(tmp_path, text):
    path = tmp_path / 'model.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'model\.json .*PGPG model'):
        load_proposal_model(path)
