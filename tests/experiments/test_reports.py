"""The reports of fitted proposals and of a learned pose NMS."""

from dataclasses import replace

import numpy as np
import pytest
from pgpg_models import offset_model, proposal_model

from rmpe_spm.coco.ground_truth import ImageGroundTruth, PoseSet
from rmpe_spm.experiments import pgpg_report, pose_nms_report
from rmpe_spm.experiments.pose_nms_report import NMSScore, compare_nms
from rmpe_spm.oks import COCO_SIGMAS
from rmpe_spm.pose_nms.learning import Plane
from rmpe_spm.pose_nms.oks_nms import OKSNMS, SoftOKSNMS
from rmpe_spm.pose_nms.parametric import ParametricPoseNMS
from rmpe_spm.pose_nms.rule import make_rule
from rmpe_spm.rmpe.pgpg_model import PeopleGroup


@pytest.fixture
def model():
    return proposal_model(
        atom_groups=[
            PeopleGroup(70, 60, offset_model(-0.1)),
            PeopleGroup(20, 5, None),
        ],
        no_torso=PeopleGroup(10, 4, None),
        atom_selection={'num_folds': 5, 'scores': {'0': 1.5, '2': 1.75}},
        provenance={
            'detections': {'file': 'boxes.json'},
            'command': 'python tools/fit_pgpg.py',
            'date': '2020-02-02',
            'counts': {'matched_people': 69},
        },
    )


def test_markdown_says_what_was_fitted(model):
    text = pgpg_report.markdown_report(model)
    assert '| matched people | 69 |' in text
    assert '| 2 | 1.7500 |' in text
    row = '| atom 0 | 70 | 60 | -10.0 ± 1.0 (2) | -10.0 ± 2.0 (2) |'
    assert row in text
    assert '| atom 1 | 20 | 5 | the global ones |' in text
    assert 'Too few matches for atom 1, no torso' in text
    model.atom_selection = {'criterion': 'given'}
    assert '2, as given' in pgpg_report.markdown_report(model)


def test_atoms_are_drawn_where_they_are(model):
    figure = pgpg_report.draw_atoms(model, [(1, 2), (0, 4)])
    assert len(figure.axes) == 2
    for axis, pose in zip(figure.axes, model.atoms, strict=True):
        np.testing.assert_allclose(axis.collections[0].get_offsets(), pose)
        np.testing.assert_allclose(axis.lines[1].get_xydata(), pose[[0, 4]])
        # y grows downwards, as in the image
        assert axis.get_ylim()[0] > axis.get_ylim()[1]
    assert 'atom 1\n20 people' in figure.axes[1].get_title()


def poses(images, each):
    """A set of which only the numbers matter."""
    fields = [[np.zeros(each)] * images for _ in range(5)]
    return PoseSet(list(range(images)), *fields)


def test_rows_are_the_scores_on_the_images_left_out():
    rule = replace(make_rule('coco'), eta=2.34567, merge=None)
    fitted = {'none': NMSScore(0.5, 0.6, 0.7, 9, 1.0)}
    held_out = {'none': NMSScore(0.12345, 0.23456, 0.34567, 6, 0.0124)}
    text = pose_nms_report.markdown_report(
        'python x', rule, (poses(3, 3), poses(2, 4)), (fitted, held_out)
    )
    assert '`python x`' in text
    assert 'Fitted to 3 images with 9 poses' in text
    assert 'reported on 2 others with 8' in text
    assert 'eta 2.346' in text and 'merging None' in text
    header, _, row = text.splitlines()[-3:]
    assert header.startswith('| pose NMS | AP (fit) | AP |')
    assert row == '| none | 0.5000 | 0.1235 | 0.2346 | 0.3457 | 6 | 0.012 |'


@pytest.fixture
def planes():
    rows, columns = np.geomspace(1, 100, 3), np.geomspace(0.1, 0.8, 4)
    ap = np.arange(12.0).reshape(3, 4) / 100
    first = Plane(('eta', 'lambda_'), rows, columns, ap, (10, 0.2), 0.11, 1, 0)
    return [
        first,
        replace(first, zoom=1, best_ap=0.1234),
        replace(first, names=('sigma1', 'sigma2')),
    ]


def test_planes_by_pair_and_zoom_with_a_star_at_the_choice(planes):
    figure = pose_nms_report.draw_planes(planes)
    axes = [axis for axis in figure.axes if axis.get_title()]
    titles = [axis.get_title() for axis in axes if axis.collections]
    assert titles == [
        'zoom 0: AP 0.1100',
        'zoom 1: AP 0.1234',
        'zoom 0: AP 0.1100',
    ]
    assert axes[0].get_xlabel() == 'lambda_'
    (star,) = axes[0].lines
    assert star.get_xydata().tolist() == [[0.2, 10]]
    (mesh,) = axes[0].collections
    np.testing.assert_array_equal(
        np.reshape(mesh.get_array(), (3, 4)), planes[0].ap
    )


def test_duplicates_cost_precision_until_an_nms_removes_them():
    """Two people; the duplicate of the first comes before the second."""
    base = np.stack([np.arange(17.0) * 10, np.arange(17.0) * 5], 1)
    people = np.stack([base, base + 1000])
    poses = people[[0, 0, 1]]
    truth = ImageGroundTruth(
        np.concatenate([people, np.full((2, 17, 1), 2.0)], 2),
        np.tile([0.0, 0, 160, 80], (2, 1)),
        np.full(2, 8e3),
        np.zeros(2, dtype=bool),
    )
    boxes = np.concatenate([poses.min(1), poses.max(1)], 1)
    pose_set = PoseSet(
        [1], [truth], [poses], [np.full((3, 17), 0.9)], [boxes],
        [np.array([0.9, 0.8, 0.7])],
    )  # fmt: skip
    found = compare_nms(
        pose_set,
        {
            'none': None,
            'oks': OKSNMS(),
            'soft': SoftOKSNMS(),
            'coco': ParametricPoseNMS('coco'),
        },
        np.array(COCO_SIGMAS),
    )
    # precision 1 up to a recall of 0.5, then 2 / 3
    assert found['none'].ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    for name in ('oks', 'soft', 'coco'):
        assert found[name].ap == pytest.approx(1)
        assert found[name].ap50 == found[name].ap75 == pytest.approx(1)
    numbers = {name: score.num_poses for name, score in found.items()}
    assert numbers == dict(none=3, oks=2, soft=3, coco=2)
    assert found['coco'].milliseconds > 0
