import json

import cv2
import pytest
from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.leaderboard.evaluate import choose_images, draw_pictures


def annotations(people):
    """Annotations with so many people in the images 1, 2, ..."""
    return dict(
        images=[dict(id=i + 1) for i in range(len(people))],
        annotations=[
            dict(image_id=i + 1, keypoints=[1, 1, 2] * 17)
            for i, number in enumerate(people)
            for _ in range(number)
        ],
    )


@pytest.mark.parametrize(
    'people, expected',
    [
        ([2, 0, 2, 1, 5, 3], [1, 5]),
        ([0, 1, 1, 2], [4, 2]),
        ([0], [1]),
        ([], []),
    ],
)
def test_images_with_several_people_come_first(people, expected):
    chosen = choose_images(annotations(people), 2)
    assert [image['id'] for image in chosen] == expected


def test_crowds_and_people_without_joints_do_not_count():
    content = annotations([2, 2, 2])
    for person in content['annotations'][:2]:
        person['iscrowd'] = 1
    for person in content['annotations'][2:4]:
        person['keypoints'] = [0, 0, 0] * 17
    assert choose_images(content, 1)[0]['id'] == 3


def test_draws_small_pictures(tiny_coco, tmp_path):
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    image = cv2.imread(str(tiny_coco / 'images' / '000000000001.jpg'))
    large = tmp_path / 'images'
    large.mkdir()
    for each in content['images']:
        each.update(width=960, height=720)
        cv2.imwrite(
            str(large / each['file_name']), cv2.resize(image, (960, 720))
        )
    result = dict(image_id=1, keypoints=[50, 50, 1.0] * 17, score=1.0)
    meta = parse_pose_metainfo(CocoDataset.METAINFO)
    paths = draw_pictures(content, [result], large, meta, tmp_path / 'drawn')
    assert [path.stem for path in paths] == [
        f'{image_id:012d}' for image_id in (1, 2, 3, 4)
    ]
    for path in paths:
        # two halves of 4 to 3
        assert cv2.imread(str(path)).shape == (180, 480, 3)


def test_missing_image(tiny_coco, tmp_path):
    content = json.loads((tiny_coco / 'annotations.json').read_text())
    meta = parse_pose_metainfo(CocoDataset.METAINFO)
    with pytest.raises(FileNotFoundError, match='image 1 is missing'):
        draw_pictures(content, [], tmp_path, meta, tmp_path / 'drawn')
