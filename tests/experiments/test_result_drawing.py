import json

import cv2
import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.experiments.drawing import draw_results, make_contact_sheet


@pytest.fixture
def files(tmp_path):
    """A grey image with one annotated person and two predictions."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((60, 80, 3), 127, np.uint8))
    keypoints = [[10 + 3 * k, 20, 2] for k in range(17)]
    annotations = dict(
        images=[dict(id=1, file_name='a.png', width=80, height=60)],
        annotations=[
            dict(
                id=1,
                image_id=1,
                num_keypoints=17,
                keypoints=sum(keypoints, []),
            )
        ],
    )
    strong = sum(([x, 45, 0.9] for x, _, _ in keypoints), [])
    weak = sum(([x, 5, 0.9] for x, _, _ in keypoints), [])
    results = [
        dict(image_id=1, keypoints=strong, score=1.0),
        dict(image_id=1, keypoints=weak, score=0.1),
    ]
    (tmp_path / 'ann.json').write_text(json.dumps(annotations))
    (tmp_path / 'results.json').write_text(json.dumps(results))
    return tmp_path


def _draw(files, **kwargs):
    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco.py')
    )
    return draw_results(
        files / 'ann.json',
        files / 'results.json',
        files,
        files / 'out',
        meta,
        **kwargs,
    )


def _drawn(picture):
    return np.abs(picture.astype(int) - 127).max(axis=2) > 40


def test_ground_truth_left_and_strong_prediction_right(files):
    (path,) = _draw(files)
    picture = cv2.imread(str(path))
    assert picture.shape == (60, 160, 3)
    drawn = _drawn(picture)
    assert drawn[18:23, 10:60].mean() > 0.3
    assert not drawn[43:48, :80].any()
    assert drawn[43:48, 90:140].mean() > 0.3
    assert not drawn[:10].any(), 'an instance below score_thr was drawn'


def test_score_threshold_is_relative_to_the_best(files):
    (path,) = _draw(files, score_thr=0.05)
    assert _drawn(cv2.imread(str(path)))[3:8, 90:140].mean() > 0.3


def test_names_the_missing_image(files):
    (files / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png.*image 1'):
        _draw(files)


def test_contact_sheet_places_pictures_row_by_row(tmp_path):
    paths = []
    for i in range(3):
        paths.append(tmp_path / f'{i}.png')
        cv2.imwrite(str(paths[-1]), np.full((4, 6, 3), 50 * (i + 1), np.uint8))
    sheet = cv2.imread(str(make_contact_sheet(paths, tmp_path / 's.png')))
    assert sheet.shape == (8, 12, 3)
    corners = [sheet[0, 0, 0], sheet[0, 6, 0], sheet[4, 0, 0], sheet[4, 6, 0]]
    assert corners == [50, 100, 150, 0]
    with pytest.raises(ValueError, match='no pictures'):
        make_contact_sheet([], tmp_path / 's.png')


def test_images_of_one_name_do_not_overwrite_each_other(files):
    content = json.loads((files / 'ann.json').read_text())
    for number, folder in ((2, 'b'), (3, 'c')):
        (files / folder).mkdir()
        cv2.imwrite(
            str(files / folder / 'x.png'), np.full((60, 80, 3), 9, np.uint8)
        )
        content['images'].append(
            dict(content['images'][0], id=number, file_name=f'{folder}/x.png')
        )
    (files / 'ann.json').write_text(json.dumps(content))
    names = [path.name for path in _draw(files)]
    assert names == ['a.jpg', 'x_2.jpg', 'x_3.jpg']
    assert all((files / 'out' / name).is_file() for name in names)
