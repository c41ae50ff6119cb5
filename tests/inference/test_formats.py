"""Results files, read back by the rules of who reads them."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from faster_coco_eval import COCO

from rmpe_spm import ConfigError
from rmpe_spm.inference.drawing import PoseDrawer
from rmpe_spm.inference.formats import ResultWriter, UniqueNames


@pytest.fixture
def write(tmp_path):
    """Write results in a layout; read a file back after each of them."""

    def write(layout, results, file):
        writer, names = ResultWriter(layout, tmp_path), UniqueNames()
        for result in results:
            writer.write(result, names(result))
            content = json.loads((tmp_path / file).read_text())
        return content

    return write


def test_coco(write, make_result, tmp_path):
    paths = ['val2017/000000000139.jpg', 'b.jpg', 'c.jpg']
    results = list(map(make_result, (2, 0, 1), paths))
    results[0] = replace(results[0], keypoints_3d=np.ones((2, 17, 3)))
    people = write('coco', results, 'keypoints.json')
    assert [person['image_id'] for person in people] == [139, 139, 3]
    first, second, third = people
    assert second['keypoints'][:6] == [100, 0, 0.5, 101, 1, 0.5]
    assert len(second['keypoints']) == 51 and second['category_id'] == 1
    assert first['score'] == 0.75 and second['bbox'] == [100, 0, 20, 16]
    assert third['file_name'] == 'c.jpg' and 'frame' not in third
    assert second['keypoints_3d'] == [[1, 1, 1]] * 17
    assert 'keypoints_3d' not in third
    ground_truth = COCO()
    ground_truth.dataset = dict(
        images=[dict(id=i) for i in (139, 3)],
        categories=[dict(id=1, name='person')],
        annotations=[],
    )
    ground_truth.createIndex()
    loaded = ground_truth.loadRes(str(tmp_path / 'keypoints.json'))
    assert len(loaded.getAnnIds(imgIds=[139])) == 2


def test_coco_of_a_video(write, make_result):
    results = [make_result(1, '12.mp4', frame) for frame in range(3)]
    people = write('coco', results, 'keypoints.json')
    numbers = [(person['image_id'], person['frame']) for person in people]
    assert numbers == [(1, 0), (2, 1), (3, 2)]


def test_alphapose(write, make_result):
    results = [make_result(2), make_result(1, 'dance.mp4', 7)]
    people = write('alphapose', results, 'alphapose-results.json')
    names = [person['image_id'] for person in people]
    assert names == ['photo.jpg', 'photo.jpg', 'dance_000007.jpg']
    assert people[1]['keypoints'][3:6] == [101, 1, 0.5]
    assert people[1]['score'] == 0.25 and people[1]['category_id'] == 1


def test_openpose(write, make_result):
    result = make_result(2)
    result.keypoint_scores[1, 5] = 0.25  # the left shoulder
    content = write('openpose', [result], 'openpose/photo_keypoints.json')
    assert content['version'] == 1.3 and len(content['people']) == 2
    joints = np.reshape(content['people'][1]['pose_keypoints_2d'], (25, 3))
    assert joints[0].tolist() == [100, 0, 0.5]  # nose
    assert joints[1].tolist() == [105.5, 5.5, 0.25]  # neck
    assert joints[8].tolist() == [111.5, 11.5, 0.5]  # middle of the hips
    order = [6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    of_coco = [i for i in range(25) if i not in (0, 1, 8) and i < 19]
    assert (joints[of_coco, 1]).tolist() == order
    assert not joints[19:].any()  # COCO has no toes
    assert content['people'][0]['hand_left_keypoints_2d'] == []
    frame = make_result(1, 'dance.mp4', 7)
    file = 'openpose/dance_000000000007_keypoints.json'
    assert len(write('openpose', [frame], file)['people']) == 1


def test_mmpose(write, make_result):
    people = write('mmpose', [make_result(2)], 'photo.json')
    assert people[1]['keypoints'][3] == [103, 3]
    assert people[1]['keypoint_scores'] == [0.5] * 17
    assert people[1]['bbox'] == [[100, 0, 120, 16]]
    frames = [make_result(n, 'dance.mp4', n) for n in range(3)]
    content = write('mmpose', frames, 'dance.json')
    assert [frame['frame_id'] for frame in content] == [0, 1, 2]
    assert [len(frame['instances']) for frame in content] == [0, 1, 2]


def test_nobody_is_an_empty_list(write, make_result, tmp_path):
    nobody = [make_result(0)]
    assert write('coco', nobody, 'keypoints.json') == []
    assert write('alphapose', nobody, 'alphapose-results.json') == []
    assert write('mmpose', nobody, 'photo.json') == []
    with pytest.raises(ConfigError, match='coco, openpose'):
        ResultWriter('csv', tmp_path)


def test_names_are_unique(make_result):
    names = UniqueNames()
    for path, name in (
        ('a/x.jpg', 'x'),
        ('b/x.jpg', 'x_2'),
        ('a/x.jpg', 'x'),
        ('x.mp4', 'x_3'),
        ('webcam:0', 'webcam_0'),
        ('array', 'array_000001'),
        ('array', 'array_000002'),
    ):
        assert names(make_result(0, path)) == name


def test_the_result_as_lists(make_result):
    result = make_result(2)
    content = json.loads(json.dumps(result.to_dict()))
    assert content['path'] == 'folder/photo.jpg' and content['frame'] is None
    assert content['size'] == [640, 480]
    assert content['keypoint_names'][:2] == ['nose', 'left_eye']
    person = content['people'][1]
    assert person['keypoints'][2] == [102, 2] and person['score'] == 0.25
    assert person['bbox_xyxy'] == [100, 0, 120, 16]


def test_people_above_a_score(make_result):
    result = make_result(3)
    assert (15, 13) in result.skeleton and len(result.skeleton) == 19
    assert result.keypoint_names[:2] == ['nose', 'left_eye']
    kept = result.above(0.5)
    assert kept.scores.tolist() == [0.75, 0.5] and len(kept) == 2
    assert kept.keypoints.shape == (2, 17, 2)
    assert kept.keypoint_scores.shape == (2, 17)
    assert kept.bboxes_xyxy.shape == (2, 4)
    assert make_result(3).above(0.9).keypoints.shape == (0, 17, 2)


def test_drawing(make_result):
    image = np.zeros((480, 640, 3), np.uint8)
    result = make_result(1)
    result.keypoints[0] = 0
    result.keypoints[0, [0, 5, 7]] = (100, 50), (200, 300), (300, 300)
    result.keypoints[0, 6] = 1e12, -1e12
    result.keypoint_scores[0, 9:] = 0.1
    result.keypoints[0, 16] = 50, 400
    drawn = PoseDrawer(result.metainfo).draw(image, result)
    assert not image.any() and drawn.shape == image.shape
    assert drawn[50, 100].tolist() == [255, 153, 51]  # the nose, in BGR
    assert drawn[300, 250].tolist() == [0, 255, 0]  # the left upper arm
    assert not drawn[390:410, 40:60].any()  # of a low score


@pytest.mark.parametrize('number', [0, 2])
def test_supervision(make_result, number):
    sv = pytest.importorskip('supervision')
    result = make_result(number)
    poses = result.to_supervision()
    assert isinstance(poses, sv.KeyPoints) and len(poses) == number
    np.testing.assert_array_equal(poses.xy, result.keypoints)
    confidence = getattr(poses, 'keypoint_confidence', None)
    if confidence is None:
        confidence = poses.confidence
    np.testing.assert_array_equal(confidence, result.keypoint_scores)
    np.testing.assert_array_equal(poses.data['score'], result.scores)


def test_without_supervision_it_says_so(make_result, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match='pip install supervision'):
        make_result().to_supervision()
