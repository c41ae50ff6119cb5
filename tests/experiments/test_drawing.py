import cv2
import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.experiments.drawing import draw_results


@pytest.fixture
def content(tmp_path):
    """A grey image with one annotated person and two predictions."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((60, 80, 3), 127, np.uint8))

    def row(y, flag):
        joints = [[10 + 3 * k, y, flag] for k in range(17)]
        return dict(image_id=1, keypoints=sum(joints, []))

    annotations = dict(
        images=[dict(id=1, file_name='a.png', width=80, height=60)],
        annotations=[dict(row(20, 2), id=1, num_keypoints=17)],
    )
    results = [dict(row(45, 0.9), score=1.0), dict(row(5, 0.9), score=0.1)]
    return annotations, results


def _draw(content, tmp_path, **options):
    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco.py')
    )
    return draw_results(*content, tmp_path, tmp_path / 'out', meta, **options)


def _drawn(picture):
    return np.abs(picture.astype(int) - 127).max(axis=2) > 40


def test_ground_truth_left_and_strong_prediction_right(content, tmp_path):
    (path,) = _draw(content, tmp_path)
    assert path.name == '1.jpg'
    picture = cv2.imread(str(path))
    assert picture.shape == (60, 160, 3)
    drawn = _drawn(picture)
    assert drawn[18:23, 10:60].mean() > 0.3
    assert not drawn[43:48, :80].any()
    assert drawn[43:48, 90:140].mean() > 0.3
    assert not drawn[:10].any(), 'a weak instance was drawn'


def test_score_threshold_is_relative_to_the_best(content, tmp_path):
    content[1][0]['score'] = 0.2
    (path,) = _draw(content, tmp_path)
    assert _drawn(cv2.imread(str(path)))[3:8, 90:140].mean() > 0.3


def test_wide_pictures_are_made_smaller(content, tmp_path):
    (path,) = _draw(content, tmp_path, max_width=80)
    assert cv2.imread(str(path)).shape == (30, 80, 3)


def test_names_the_missing_image(content, tmp_path):
    (tmp_path / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png.*image 1'):
        _draw(content, tmp_path)
