"""The data set in both protocols, with detections, and the crop of a group."""

import json

import mpii_files
import numpy as np
import pytest
from mmpose.registry import TRANSFORMS
from mpii_files import build
from scipy.io import savemat

from rmpe_spm.mpii.dataset import GroupAffine

PACK = dict(type='PackPoseInputs')


@pytest.fixture(scope='module')
def release(tmp_path_factory):
    """Two images: a pair with somebody apart, and one person."""
    images = {
        '000000015.jpg': [
            mpii_files.standing_person(100, 120, leave_out=(6,)),
            mpii_files.standing_person(700, 120),
            mpii_files.standing_person(150, 130, height=120),
            mpii_files.person({}, center=(160, 120), scale=0.5),
        ],
        '000000007.jpg': [mpii_files.standing_person(99, 99)],
        '000000003.jpg': [mpii_files.person({}, center=(50, 60))],
    }
    root = tmp_path_factory.mktemp('mpii')
    return mpii_files.write_data(root, images, train=[1, 1, 0])


def test_bottom_up_groups(release):
    data = build(release, protocol='group', data_mode='bottomup')
    assert [data[i]['id'] for i in range(3)] == [[1, 3, 4], [2], [5]]
    first = data[0]
    assert first['img_id'] == 15
    assert first['img_path'].endswith('images/000000015.jpg')
    expected = np.array(list(mpii_files.standing(100, 120).values()))
    expected[6] = 0
    np.testing.assert_allclose(first['keypoints'][0], expected, atol=1e-4)
    assert first['keypoints_visible'].sum(1).tolist() == [15, 16, 0]
    # a square of 200 x scale, 15 x scale below the place
    np.testing.assert_allclose(first['bbox'][0], [20, 52, 180, 212])
    np.testing.assert_allclose(first['head_size'].T, [[30, 30, 30]])
    np.testing.assert_allclose(first['group_bbox'], [[20, 40, 210, 200]])
    raw = first['raw_ann_info']
    assert [person['id'] for person in raw] == [1, 3, 4]
    assert [person['person_id'] for person in raw] == [1, 3, 4]
    assert {person['group_id'] for person in raw} == {0}


def test_whole_images(release):
    data = build(release, data_mode='bottomup')
    assert [data[i]['id'] for i in range(len(data))] == [[1, 2, 3, 4], [5]]
    assert data[0]['raw_ann_info'][0]['protocol'] == 'image'
    data = build(release, data_mode='bottomup', min_people=2)
    assert len(data) == 1
    data = build(release, data_mode='bottomup', split='test')
    assert [data[i]['id'] for i in range(len(data))] == [[6]]


@pytest.mark.parametrize('protocol', ['group', 'image'])
def test_top_down(release, protocol):
    data = build(release, protocol=protocol)
    # not who has no joints
    people = [data[i] for i in range(len(data))]
    ids = [1, 3, 2, 5] if protocol == 'group' else [1, 2, 3, 5]
    assert [person['id'] for person in people] == ids
    assert people[0]['keypoints'].shape == (1, 16, 2)
    assert people[0]['raw_ann_info']['id'] == 1
    packed = TRANSFORMS.build(PACK)(dict(people[0], img=np.zeros((9, 9, 3))))
    assert packed['data_samples'].gt_instances.head_size.tolist() == [[30]]
    # whose joints nobody knows are all there is in a test image
    assert [each['id'] for each in build(release, split='test')] == [6]


def test_fourteen_joints(release):
    data = build(release, num_keypoints=14)
    assert data.metainfo['num_keypoints'] == 14
    whole = build(release)
    assert whole.metainfo['num_keypoints'] == 16
    np.testing.assert_array_equal(
        data[1]['keypoints'],
        np.delete(whole[1]['keypoints'], [6, 7], axis=1),
    )
    assert len(data[1]['flip_indices']) == 14


def test_group_file(release, tmp_path):
    path = tmp_path / 'groups.json'
    path.write_text(json.dumps({'000000015.jpg': [[1, 2]]}))
    data = build(
        release, protocol='group', group_file=str(path), data_mode='bottomup'
    )
    assert [each['id'] for each in data] == [[1, 2]]


def test_json_with_head_boxes(tmp_path):
    record = dict(
        image='3.jpg', joints=list(mpii_files.standing(100, 120).values()),
        joints_vis=[1] * 16, center=[100, 120], scale=0.8,
    )  # fmt: skip
    (tmp_path / 'val.json').write_text(json.dumps([record]))
    (sample,) = build(tmp_path, ann_file='val.json')
    assert np.isnan(sample['head_size']).all()
    assert sample['raw_ann_info']['head_size'] is None
    head = str(tmp_path / 'head.mat')
    savemat(head, dict(headboxes_src=np.array([[[1.0], [2]], [[31], [42]]])))
    (sample,) = build(tmp_path, ann_file='val.json', headbox_file=head)
    assert sample['raw_ann_info']['head_size'] == 30
    np.testing.assert_allclose(sample['head_size'], [[30]])


BOX = [10, 20, 30, 40]
EVERYBODY = [1, 3, 4, 2]  # of image 15, by group


def detections(path, *rows):
    """A file of boxes: image, score and maybe category of each."""
    names = ('image_id', 'score', 'category_id')
    path.write_text(
        json.dumps(
            [
                dict(zip(names, (*row, 1), strict=False), bbox=BOX)
                for row in rows
            ]
        )
    )
    return str(path)


def test_detections(release, tmp_path):
    path = detections(tmp_path / 'x.json', (15, 0.5), (15, 0.4, 2), (15, 0.3))
    data = build(release, protocol='group', bbox_file=path)
    assert len(data) == 2
    assert data[1]['bbox'].tolist() == [[10, 20, 40, 60]]
    assert data[1]['bbox_score'] == np.float32(0.3) and data[1]['id'] == 1


@pytest.mark.parametrize(
    ('boxes', 'threshold', 'scores', 'people'),
    [
        # the first also has the image in which nothing was detected
        ([(15, 0.5)], 0, [0.5], [[*EVERYBODY, 5]]),
        ([(7, 0.1), (7, 0.6)], 0.5, [0.6], [[5, *EVERYBODY]]),
        (
            [(15, 0.3), (15, 0.5), (7, 0.4)],
            0.3,
            [0.3, 0.5, 0.4],
            [EVERYBODY, EVERYBODY, [5]],
        ),
        # the first detection falls below, nobody is missed
        (
            [(15, 0.3), (15, 0.5), (7, 0.4)],
            0.35,
            [0.5, 0.4],
            [EVERYBODY, [5]],
        ),
        # all detections of one image do
        ([(15, 0.3), (15, 0.5), (7, 0.4)], 0.45, [0.5], [[*EVERYBODY, 5]]),
    ],
)
def test_missed_people_survive(
    release, tmp_path, boxes, threshold, scores, people
):
    data = build(
        release,
        protocol='group',
        bbox_file=detections(tmp_path / 'boxes.json', *boxes),
        filter_cfg=dict(bbox_score_thr=threshold),
    )
    assert [each['bbox_score'] for each in data] == [*map(np.float32, scores)]
    ids = [[p['id'] for p in each['raw_ann_info']] for each in data]
    assert ids == people


@pytest.mark.parametrize(
    'rows,match',
    [
        ([(15, 0.5), (16, 0.5)], 'detection 1 .* image 16'),
        ([(15, 0.5, 2)], 'has no detection of a person'),
        ([(15, 0.3)], 'a score of at least 0.4'),
    ],
)
def test_bad_detections(release, tmp_path, rows, match):
    options = dict(filter_cfg=dict(bbox_score_thr=0.4))
    path = str(tmp_path / 'boxes.json')
    with pytest.raises(FileNotFoundError, match='boxes.json'):
        build(release, bbox_file=path, **options)
    detections(tmp_path / 'boxes.json', *rows)
    with pytest.raises(ValueError, match=match) as error:
        build(release, bbox_file=path, **options)
    assert path in str(error.value)


def test_training_of_a_bottom_up_model(release):
    codec = dict(
        type='HierarchicalSPRCodec', input_size=(64, 64),
        heatmap_size=(16, 16), kinematics='mpii14',
    )  # fmt: skip
    pipeline = [
        dict(type='LoadImage'),
        dict(type='BottomupRandomAffine', input_size=(64, 64)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='BottomupGetHeatmapMask'),
        PACK,
    ]
    data = build(
        release, data_mode='bottomup', num_keypoints=14, test_mode=False,
        pipeline=pipeline,
    )  # fmt: skip
    fields = data[0]['data_samples'].gt_fields
    assert fields.displacements.shape == (28, 16, 16)


def test_errors_name_the_file(release):
    with pytest.raises(FileNotFoundError, match='none.mat'):
        build(release, ann_file='none.mat')
    for options, match in (
        (dict(protocol='person'), "'person' is not one of"),
        (dict(num_keypoints=15), 'num_keypoints=15'),
        (dict(sample_interval=2), 'sample_interval=2: .* group_file'),
        (dict(indices=0, bbox_file='x.json'), 'indices=0 .* group_file'),
        (dict(indices=[1], bbox_file='x.json'), 'indices=.* group_file'),
    ):
        with pytest.raises(ValueError, match=match):
            build(release, **options)
    assert len(build(release, sample_interval=1)) == 4
    assert len(build(release, indices=[1], bbox_file=None)) == 1


def picture_of_a_pair():
    """A picture whose red is x and green y, a group of two, one joint."""
    y, x = np.mgrid[:200, :100]
    img = np.stack([0 * x, y, x], -1).astype(np.uint8)
    return dict(
        img=img,
        group_bbox=np.array([[20, 30, 60, 130.0]]),
        keypoints=np.array([[[40, 80]], [[20, 30]]], np.float32),
    )


def test_padded_box_by_hand():
    transform = TRANSFORMS.build(
        dict(type='GroupAffine', input_size=(60, 60), padding=1.2)
    )
    results = transform(picture_of_a_pair())
    # 40 x 100 about (40, 80), then square and padded: 120
    np.testing.assert_allclose(results['input_center'], [40, 80])
    np.testing.assert_allclose(results['input_scale'], [120, 120])
    assert results['input_size'] == (60, 60)
    expected = np.array([[[30, 30]], [[20, 5]]])
    np.testing.assert_allclose(results['transformed_keypoints'], expected)
    assert results['img'].shape == (60, 60, 3)
    assert abs(int(results['img'][30, 30, 2]) - 40) <= 1
    assert abs(int(results['img'][5, 20, 1]) - 30) <= 1
    # what is each person's stays so
    assert 'bbox_scale' not in results and 'bbox_center' not in results


def test_a_picture_alone_is_shown_as_a_whole():
    picture = dict(img=picture_of_a_pair()['img'])
    results = GroupAffine((60, 60))(picture)
    np.testing.assert_allclose(results['input_center'], [50, 100])
    np.testing.assert_allclose(results['input_scale'], [200, 200])
    assert abs(int(results['img'][30, 39, 2]) - 80) <= 1


def test_people_without_a_group():
    with pytest.raises(ValueError, match='needs the "group_bbox"'):
        GroupAffine((8, 8))(dict(bbox=1))
