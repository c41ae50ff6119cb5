import json

import numpy as np
import pytest
from pgpg_models import NAMES
from pgpg_models import UPRIGHT as POSE

from rmpe_spm.rmpe.pgpg_model import load_proposal_model


@pytest.fixture
def files(tmp_path):
    """120 people in as many images, their detections a tenth to the right."""
    rng = np.random.default_rng(0)
    annotations, detections = [], []
    for index in range(120):
        pose = POSE * 60 + [200, 150] + rng.normal(0, 2, (5, 2))
        keypoints = np.hstack([pose, np.full((5, 1), 2)]).ravel()
        annotations.append(
            dict(
                id=index,
                image_id=index,
                category_id=1,
                iscrowd=0,
                bbox=[150, 50, 100, 200],
                keypoints=keypoints.tolist(),
            )
        )
        shift = 10 + rng.normal(0, 2)
        detections.append(
            dict(
                image_id=index,
                category_id=1,
                bbox=[150 + shift, 50, 100, 200],
                score=0.8,
            )
        )
    content = dict(
        images=[dict(id=i, width=400, height=300) for i in range(120)],
        annotations=annotations,
        categories=[
            dict(id=1, keypoints=NAMES, skeleton=[[1, 2], [2, 4], [3, 5]])
        ],
    )
    (tmp_path / 'people.json').write_text(json.dumps(content))
    (tmp_path / 'boxes.json').write_text(json.dumps(detections))
    return tmp_path


def test_file_and_report(tool, files, monkeypatch):
    monkeypatch.chdir(files)
    argv = ['people.json', 'boxes.json', '--num-atoms', '1']
    tool.main([*argv, '--out', 'a.json', '--report', 'page'])
    model = load_proposal_model(files / 'a.json')
    mean = model.atom_groups[0].offsets.mean
    np.testing.assert_allclose(mean, [0.1, 0, 0.1, 0], atol=0.01)
    np.testing.assert_allclose(model.atoms[0], POSE, atol=0.03)
    provenance = model.provenance
    assert provenance['annotations']['file'] == 'people.json'
    assert len(provenance['detections']['sha256']) == 64
    assert provenance['counts']['matched_people'] == 120
    assert provenance['command'] == (
        'python tools/fit_pgpg.py people.json boxes.json --num-atoms 1 '
        '--out a.json --report page'
    )
    page = (files / 'page/README.md').read_text()
    # Nobody is without a torso, so that group has no offsets of its own.
    assert 'Too few matches for no torso' in page
    assert f'| atom 0 | 120 | 120 | {100 * mean[0]:+.1f} ± ' in page
    assert '(atoms.png)' in page
    assert (files / 'page/atoms.png').read_bytes().startswith(b'\x89PNG')


def test_an_error_is_one_line(tool, files, refusal):
    far = dict(image_id=0, category_id=1, bbox=[0, 0, 9, 9], score=0.9)
    (files / 'boxes.json').write_text(json.dumps([far]))
    argv = [files / 'people.json', files / 'boxes.json']
    found = refusal(tool.main, *argv, '--out', files / 'a.json')
    assert found.splitlines()[-1].startswith('fit_pgpg.py: error: only 0 of')
    assert not (files / 'a.json').exists()
