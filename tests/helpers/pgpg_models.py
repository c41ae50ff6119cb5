"""Poses of five joints and a proposal model of them."""

import numpy as np

from rmpe_spm.rmpe.pgpg_model import (
    OffsetModel,
    PeopleGroup,
    ProposalModel,
    SideMixture,
)

NAMES = ['head', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']
# aligned by their torsos
UPRIGHT = np.array(
    [[0, -0.8], [0.25, -0.5], [-0.25, -0.5], [0.2, 0.5], [-0.2, 0.5]]
)
LYING = UPRIGHT[:, ::-1].copy()
SEEN = np.ones(5, bool)


def offset_model(centre):
    """Two components a side, 0.2 apart and at most 0.02 wide."""
    mixtures = []
    for side, std in enumerate([0.005, 0.01, 0.015, 0.02]):
        weight = 0.2 + 0.1 * side
        mixtures.append(
            SideMixture(
                [weight, 1 - weight],
                [centre - 0.1, centre + 0.1],
                [std, 0.025 - std],
            )
        )
    return OffsetModel([centre] * 4, [0.01, 0.02, 0.03, 0.04], mixtures)


def proposal_model(**changes):
    """Two atoms, each with offsets of its own."""
    settings = dict(
        keypoint_names=NAMES,
        atoms=np.stack([UPRIGHT, LYING]),
        atom_groups=[
            PeopleGroup(50, 40, offset_model(0.1)),
            PeopleGroup(50, 40, offset_model(-0.1)),
        ],
        no_torso=PeopleGroup(30, 25, offset_model(0.2)),
        everybody=PeopleGroup(130, 105, offset_model(0.0)),
        atom_selection={'criterion': 'given'},
        provenance={'date': '2020-02-02'},
    )
    return ProposalModel(**settings | changes)


MISSING = object()


def damaged(content, place, value):
    """Content of a file with another value at a place, or without it."""
    *keys, last = place
    entry = content
    for key in keys:
        entry = entry[key]
    if value is MISSING:
        del entry[last]
    else:
        entry[last] = value
    return content
