"""What the parts of a pose in space cost, by people whose errors are known."""

import sys

import numpy as np
import pytest
from mmengine.fileio import dump
from people_in_space import PLAIN, bodies

from rmpe_spm.cameras import project, unproject


def test_each_part_has_its_row(load_tool, tmp_path, monkeypatch, capsys):
    people = bodies([(-500, 0, 3000), (500, 0, 4000)], spread=300)
    pixels = project(people, PLAIN)
    # the first is right in the picture, its wrists (of 17 joints) 400 mm
    # behind; the second is as far as it is, its nose 8 pixels off
    depths, places = people[..., 2].copy(), pixels.copy()
    depths[0, 9:11] += 400
    places[1, 0] += 8
    found = np.concatenate((places, places[:1] + 500))
    points = unproject(found, np.concatenate((depths, depths[:1])), PLAIN)
    sample = dict(
        pred_instances=dict(
            keypoints=found,
            keypoints_3d=points,
            bbox_scores=np.array([0.5, 0.2, 0.15]),
        ),
        gt_instances=dict(
            keypoints=pixels,
            keypoints_cam=people,
            keypoints_visible=np.ones((2, 17)),
        ),
        camera=PLAIN,
    )
    dump([sample], tmp_path / 'found.pkl')
    tool = load_tool('benchmarks/analyse_3d')
    argv = ['analyse_3d.py', str(tmp_path / 'found.pkl')]
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    rows = [
        [cell.strip() for cell in line.split('|')[1:-1]]
        for line in capsys.readouterr().out.splitlines()
    ]
    rows = {row[0]: row[1:] for row in rows if row}
    shares = {
        'as predicted': 31,
        'true depths': 33,
        'true joints in the picture': 32,
        'true depth of the root': 31,
    }
    for name, right in shares.items():
        assert float(rows[name][0]) == pytest.approx(right / 34, abs=1e-3)
    assert float(rows['a flat person'][0]) < 31 / 34
    # both people are within one range of sizes: 2 above 0.1, 1 above 0.3
    assert rows['0 to inf px'][:4] == ['2', '0.35', '0.50', '1.00']
    assert rows['nobody'] == ['1', '', '0', '1', '']
