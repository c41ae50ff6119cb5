import numpy as np
import pytest

from rmpe_spm.experiments.pgpg_report import draw_atoms, markdown_report
from rmpe_spm.rmpe.pgpg_model import (
    OffsetModel,
    PeopleGroup,
    ProposalModel,
    SideMixture,
)

NAMES = ['head', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']
POSE = np.array(
    [[0, -0.8], [0.25, -0.5], [-0.25, -0.5], [0.2, 0.5], [-0.2, 0.5]]
)


@pytest.fixture
def model():
    side = SideMixture([0.5, 0.5], [-0.1, 0.1], [0.05, 0.05])
    offsets = OffsetModel([0.01, -0.02, 0.0, 0.1], [0.12] * 4, [side] * 4)
    entry = {'file': 'boxes.json', 'sha256': 'abc'}
    return ProposalModel(
        NAMES,
        np.stack([POSE, POSE[:, ::-1]]),
        [PeopleGroup(70, 60, offsets), PeopleGroup(20, 5, None)],
        PeopleGroup(10, 4, None),
        PeopleGroup(100, 69, offsets),
        {
            'criterion': 'x',
            'num_folds': 5,
            'scores': {'0': 1.5, '2': 1.75},
        },
        {
            'annotations': entry,
            'detections': entry,
            'command': 'python tools/fit_pgpg.py',
            'date': '2020-02-02',
            'versions': {'numpy': '1.0'},
            'counts': {'matched_people': 69},
        },
    )


def test_markdown_says_what_was_fitted(model):
    text = markdown_report(model)
    assert '| matched people | 69 |' in text
    assert '| 2 | 1.7500 |' in text
    row = '| atom 0 | 70 | 60 | +1.0 ± 12.0 (2) | -2.0 ± 12.0 (2) |'
    assert row in text
    assert '| atom 1 | 20 | 5 | the global ones |' in text
    assert 'Too few matches for atom 1, no torso' in text
    model.atom_selection = {'criterion': 'given'}
    assert '2, as given' in markdown_report(model)


def test_atoms_are_drawn_where_they_are(model):
    figure = draw_atoms(model, [(1, 2), (0, 4)])
    assert len(figure.axes) == 2
    for axis, pose in zip(figure.axes, model.atoms, strict=True):
        np.testing.assert_allclose(axis.collections[0].get_offsets(), pose)
        np.testing.assert_allclose(axis.lines[1].get_xydata(), pose[[0, 4]])
        # y grows downwards, as in the image
        assert axis.get_ylim()[0] > axis.get_ylim()[1]
    assert 'atom 1\n20 people' in figure.axes[1].get_title()
