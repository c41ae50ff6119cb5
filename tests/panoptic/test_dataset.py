"""CMU Panoptic's files as a data set."""

import json
import shutil

import numpy as np
import pytest
from mmpose.registry import DATASETS

from rmpe_spm.errors import ConfigError
from rmpe_spm.panoptic.dataset import POSE_FOLDER

COCO = dict(from_file='configs/_base_/datasets/coco.py')
CAMERA = dict(
    name='00_03',
    type='hd',
    resolution=[320, 240],
    K=[[200, 0, 160], [0, 200, 120], [0, 0, 1]],
    distCoef=[0, 0, 0, 0, 0],
    # z of the world is the camera's, 3 m in front of it
    R=np.eye(3).tolist(),
    t=[[0], [0], [300]],
)


def body(place, confidence=1.0):
    """19 joints in a row along x, 2 cm apart, from a place in cm."""
    joints = np.array(place, dtype=float) + np.arange(19)[:, None] * (2, 0, 0)
    return np.c_[joints, np.full(19, confidence)]


@pytest.fixture
def sequence(tmp_path):
    """Write frames of people (19, 4) of one sequence; its folder's root."""

    def write(*frames, cameras=(CAMERA,), name='toy'):
        folder = tmp_path / name
        (folder / POSE_FOLDER).mkdir(parents=True)
        calibration = folder / f'calibration_{name}.json'
        calibration.write_text(json.dumps(dict(cameras=list(cameras))))
        for number, people in enumerate(frames):
            bodies = [
                dict(id=i, joints19=joints.ravel().tolist())
                for i, joints in enumerate(people)
            ]
            path = folder / POSE_FOLDER / f'body3DScene_{number:08d}.json'
            path.write_text(json.dumps(dict(version=0.7, bodies=bodies)))
        return tmp_path

    return write


def build(root, **options):
    return DATASETS.build(
        dict(
            type='PanopticMultiPersonDataset',
            data_root=str(root),
            pipeline=[],
            **options,
        )
    )


def test_a_person_by_hand(sequence):
    person = body((0, 30, 100))
    person[4, 3] = -1
    dataset = build(sequence([person]))
    assert len(dataset) == 1
    sample = dataset.get_data_info(0)
    assert sample['img_path'].endswith('toy/hdImgs/00_03/00_03_00000000.jpg')
    assert sample['keypoints_cam'].shape == (1, 19, 3)
    np.testing.assert_allclose(
        sample['keypoints_cam'][0, 3], [60, 300, 4000], rtol=1e-6
    )
    # 200 / 4000 pixels a millimetre
    np.testing.assert_allclose(sample['keypoints'][0, 3], [163, 135])
    visible = np.ones(19)
    visible[4] = 0
    np.testing.assert_array_equal(sample['keypoints_visible'][0], visible)
    assert np.isnan(sample['keypoints_cam'][0, 4]).all()
    assert np.isfinite(sample['keypoints']).all()
    box = [[157.7, 134.5, 180.3, 135.5]]
    np.testing.assert_allclose(sample['bbox'], box, rtol=1e-6)
    (annotation,) = sample['raw_ann_info']
    assert annotation['num_keypoints'] == 18 and annotation['image_id'] == 0
    np.testing.assert_allclose(annotation['area'], 22.6, rtol=1e-5)
    np.testing.assert_allclose(annotation['keypoints'][9:12], [163, 135, 2])
    assert annotation['keypoints'][12:15] == [0, 0, 0]
    assert sample['flip_indices'][3] == 9
    np.testing.assert_array_equal(sample['camera']['K'], CAMERA['K'])


def test_people_behind_the_camera_and_beside_the_frame(sequence):
    partly = body((225, 0, 0))  # 150 pixels right of the middle and more
    people = [body((0, 0, -600)), body((-500, 0, 0)), partly]
    dataset = build(sequence(people, [people[0]]))
    assert len(dataset) == 1  # nobody is seen in the second frame
    sample = dataset.get_data_info(0)
    assert len(sample['keypoints']) == 1
    flags = sample['keypoints_visible'][0]
    assert flags[0] == 1 and flags[18] == 0 and 5 < flags.sum() < 14
    # what is beside the frame has its place in space all the same
    assert np.isfinite(sample['keypoints_cam']).all()
    assert sample['bbox'][0, 2] <= 319
    assert len(build(dataset.data_root, test_mode=True)) == 2


def test_cameras_frames_and_joints(sequence):
    vga = dict(CAMERA, name='01_01', type='vga')
    second = dict(CAMERA, name='00_30', t=[[0], [0], [600]])
    frames = [[body((0, 0, 0))]] * 5
    root = sequence(*frames, cameras=[CAMERA, vga, second])
    assert len(build(root)) == 10
    assert len(build(root, cameras=['01_01'], frame_interval=2)) == 3
    by_name = build(root, cameras=['00_30'], metainfo=COCO)
    sample = by_name.get_data_info(0)
    assert sample['keypoints_cam'].shape == (1, 17, 3)
    # COCO's nose is CMU's joint 1, the left eye 15
    assert sample['keypoints_cam'][0, :2, 0].tolist() == [20, 300]
    assert sample['keypoints_cam'][0, 0, 2] == 6000
    assert [own['img_id'] for own in map(by_name.get_data_info, range(5))] == [
        *range(5)
    ]


def test_what_is_missing_is_named(sequence, tmp_path):
    with pytest.raises(ConfigError, match=r'no folder with a calibration_'):
        build(tmp_path)
    root = sequence([body((0, 0, 0))])
    with pytest.raises(ConfigError, match="no camera '00_16'; it has 00_03"):
        build(root, cameras=['00_16'])
    with pytest.raises(FileNotFoundError, match='calibration_other.json'):
        build(root, sequences=['other'])
    hands = dict(from_file='configs/_base_/datasets/crowdpose.py')
    with pytest.raises(ConfigError, match="has no joint 'top_head'"):
        build(root, metainfo=hands)
    path = root / 'toy' / POSE_FOLDER / 'body3DScene_00000000.json'
    for content, message in (
        ('{"bodies": [{"joints15": [1]}]}', 'joints19'),
        ('{"bodies": [{"joints19": [1, 2]}]}', 'joints19'),
        ('{"bod', 'not a JSON file'),
    ):
        path.write_text(content)
        with pytest.raises(ConfigError, match=message) as error:
            build(root)
        assert path.name in str(error.value)
    shutil.rmtree(path.parent)
    with pytest.raises(ConfigError, match='has no poses'):
        build(root)
    sequence([body((0, 0, 0))], cameras=[dict(CAMERA, K=[])], name='blind')
    with pytest.raises(ValueError, match="needs 'K'"):
        build(root, sequences=['blind'])


def test_cmus_own_files(shared_dir):
    """Two sequences, all HD cameras: people stand on the floor, upright."""
    root = shared_dir / 'data' / 'mmpose_samples' / 'panoptic_body3d'
    dataset = build(root, metainfo=COCO)
    assert len(dataset) > 100
    people = 0
    for index in range(0, len(dataset), 7):
        sample = dataset.get_data_info(index)
        seen = sample['keypoints_visible'] > 0
        depths = sample['keypoints_cam'][..., 2]
        assert (depths[seen] > 500).all() and (depths[seen] < 9000).all()
        limits = np.array([1920, 1080])
        assert (sample['keypoints'][seen] < limits).all()
        legs = sample['keypoints_cam'][:, [11, 13, 15]]
        thigh = np.linalg.norm(legs[:, 0] - legs[:, 1], axis=-1)
        thigh = thigh[np.isfinite(thigh)]
        assert (thigh > 200).all() and (thigh < 550).all()
        people += len(seen)
    assert people > 20
