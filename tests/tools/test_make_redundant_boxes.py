import json

import numpy as np

from rmpe_spm.rmpe.pgpg_model import OffsetModel


def test_twins_stand_where_the_model_says(tool):
    """A box of 10x20 that is always found 0.1 too far right, and as large."""
    offsets = OffsetModel.gaussian([0.1, 0, 0.1, 0], [1e-9] * 4)
    box = dict(image_id=7, category_id=1, score=0.4, bbox=[5, 6, 10, 20])
    made = list(tool.add_twins([box], offsets, twins=2, seed=0))
    assert made[0] == box and len(made) == 3
    for twin in made[1:]:
        np.testing.assert_allclose(twin['bbox'], [6, 6, 10, 20], atol=1e-6)
        assert dict(twin, bbox=box['bbox']) == box


def test_boxes_of_several_files(tool, repo_root, tmp_path):
    boxes = [
        dict(image_id=1, category_id=1, score=s, bbox=[10, 10, 40, 80])
        for s in (0.5, 0.001)
    ]
    # joints that span 40x80 about (30, 50)
    joints = [10, 10, 1, 50, 90, 1]
    poses = [dict(image_id=2, category_id=1, score=0.9, keypoints=joints)]
    for name, content in (('boxes', boxes), ('poses', poses)):
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    model = 'configs/rmpe/_base_/pgpg/coco_mini_yolox-nano.json'
    out = tmp_path / 'out.json'
    argv = [str(repo_root / model), str(out), str(tmp_path / 'boxes.json')]
    tool.main([*argv, str(tmp_path / 'poses.json'), '--twins', '3'])
    made = json.loads(out.read_text())
    assert [box['image_id'] for box in made] == [1] * 4 + [2] * 4
    assert made[0] == boxes[0]
    assert made[4]['bbox'] == [5, 0, 50, 100]
    tool.main([*argv, '--twins', '3'])
    assert json.loads(out.read_text()) == made[:4]
