"""Ids across frames: of generated people whose true ids are known."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rmpe_spm import PoseTracker
from rmpe_spm.experiments.track_metrics import identity_scores
from rmpe_spm.inference.tracking import OneEuroFilter
from rmpe_spm.synthetic.people_video import generate_frames, generate_video


@pytest.fixture(scope='module', params=[0, 1])
def video(request):
    """The annotations of each frame: id, joints (17, 3), area."""

    def truth(person):
        joints = np.reshape(person['keypoints'], (17, 3)).astype(float)
        return person['track_id'], joints, person['area']

    return [
        [truth(person) for person in people if person['num_keypoints']]
        for _, people in generate_frames(140, 4, request.param, (320, 240))
    ]


def scores_of(tracker, video, make_result, rng, drop=0.1, jitter=0.03):
    """IDF1 and switches on annotated poses, some dropped, all moved."""
    frames = []
    for number, truths in enumerate(video):
        kept = [each for each in truths if rng.random() >= drop]
        kept = [kept[i] for i in rng.permutation(len(kept))]
        joints = np.reshape([each[1] for each in kept], (-1, 17, 3))
        sizes = np.sqrt([each[2] for each in kept]).reshape(-1, 1, 1)
        moves = jitter * sizes * rng.normal(size=(len(kept), 17, 2))
        result = replace(
            make_result(len(kept), 'a.mp4', number),
            keypoints=np.float32(joints[..., :2] + moves),
            keypoint_scores=np.float32(joints[..., 2] > 0),
            scores=np.ones(len(kept), np.float32),
        )
        found = tracker(result)
        poses = list(zip(found.track_ids, found.keypoints, strict=True))
        frames.append((truths, poses))
    return identity_scores(frames)


def test_ids_stay_with_dropped_and_jittered_poses(video, make_result):
    rng = np.random.default_rng(0)
    assert {len(people) for people in video} > {4}  # some are hidden
    score, switches = scores_of(PoseTracker(), video, make_result, rng)
    assert score >= 0.9 and switches <= 4
    # without motion and gaps it would be less
    forgetful = PoseTracker(max_gap=1)
    assert scores_of(forgetful, video, make_result, rng)[0] < score


def test_smoothing_brings_joints_nearer(video, make_result):
    """Of somebody seen in all frames, with noise on every joint."""
    rng = np.random.default_rng(0)
    tracker, errors = PoseTracker(smooth=True), []
    truth = [{p[0]: p[1] for p in people} for people in video]
    person = min(set.intersection(*map(set, truth)))
    for number, people in enumerate(truth):
        joints, seen = people[person][:, :2], people[person][:, 2] > 0
        noisy = joints + rng.normal(0, 3, joints.shape)
        result = make_result(1, 'a.mp4', number)
        smooth = tracker(replace(result, keypoints=noisy[None])).keypoints[0]
        off = [np.abs(each - joints)[seen].mean() for each in (noisy, smooth)]
        errors.append(off)
    before, after = np.mean(errors[25:], axis=0)
    assert after < 0.9 * before


def test_one_euro_by_hand():
    """Two steps of the paper's algorithm."""
    smooth = OneEuroFilter(min_cutoff=1.0, beta=2.0, speed_cutoff=1.0)
    zero, one = np.zeros((1, 2)), np.array([[10.0, 0.0]])
    assert (smooth(0.0, zero, 100.0) == zero).all()
    tau = 1 / (2 * np.pi)
    alpha = 1 / (1 + tau / 0.1)
    speed = alpha * 100.0
    cutoff = 1.0 + 2.0 * speed / 100.0
    expected = 10 / (1 + 1 / (2 * np.pi * cutoff) / 0.1)
    np.testing.assert_allclose(
        smooth(0.1, one, 100.0), [[expected, 0.0]], rtol=1e-12
    )


def test_smoothing_knows_the_rate_of_the_video(make_result):
    """Of 100 frames a second each has less to say than of 10."""

    def smooth(fps):
        tracker = PoseTracker(smooth=True)
        frames = [replace(make_result(1, 'a.mp4', i), fps=fps) for i in (0, 1)]
        frames[1] = replace(frames[1], keypoints=frames[1].keypoints + 1)
        return [tracker(frame).keypoints for frame in frames][1]

    (start,) = make_result(1).keypoints
    moved = [(smooth(fps) - start).mean() for fps in (10, 100)]
    assert 1 > moved[0] > 2 * moved[1] > 0
    np.testing.assert_array_equal(smooth(None), smooth(25))


def test_new_videos_low_scores_and_nobody(make_result):
    tracker = PoseTracker(score_thr=0.5)  # scores are 0.75 and 0.25
    assert tracker(make_result(2, 'a.mp4', 0)).track_ids.tolist() == [1, -1]
    assert tracker(make_result(0, 'a.mp4', 1)).track_ids.tolist() == []
    again = tracker(make_result(2, 'a.mp4', 2))
    assert again.track_ids.tolist() == [1, -1]
    assert again.above(0.5).track_ids.tolist() == [1]
    assert tracker(make_result(1, 'b.mp4', 0)).track_ids.tolist() == [2]
    assert tracker(make_result(1, 'photo.jpg')).track_ids.tolist() == [3]
    assert tracker(make_result(1, 'photo.jpg')).track_ids.tolist() == [4]


def test_a_generated_video_is_as_posetrack_has_it(tmp_path):
    path = generate_video(tmp_path, 12, 3, seed=2, size=(160, 120))
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    file = tmp_path / 'annotations' / 'val' / '000001_generated.json'
    content = json.loads(file.read_text())
    numbers = [image['frame_id'] % 10000 for image in content['images']]
    assert numbers == list(range(12))
    ids = {image['id'] for image in content['images']}
    people = content['annotations']
    assert {person['track_id'] for person in people} == {1, 2, 3}
    assert {person['image_id'] for person in people} == ids
    assert len({person['id'] for person in people}) == len(people)
    # nobody jumps, and the picture shows whom the annotations say
    (_, first), *_, (image, last) = generate_frames(12, 3, 2, (160, 120))
    for before, after in zip(first, last, strict=False):
        moved = np.subtract(before['keypoints'], after['keypoints'])
        assert np.abs(moved.reshape(17, 3)[:, :2]).max() < 60
    with pytest.raises(ValueError, match='at least one frame'):
        generate_video(tmp_path, 0)
