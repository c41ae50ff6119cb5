import numpy as np
import pytest

from rmpe_spm.rmpe.pgpg_model import (
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
