import numpy as np
import pytest

from rmpe_spm.synthetic.appearance import Appearance
from rmpe_spm.synthetic.body_parts import (
    build_outlines,
    face_points,
    face_turned_away,
)
from rmpe_spm.synthetic.outline_builder import Part
from rmpe_spm.synthetic.skeleton import JOINT, Pose, forward_kinematics


def body_seen_from(yaw):
    return forward_kinematics(Pose(view=(yaw, 0, 0)), Appearance().proportions)


def test_outlines_lie_around_their_joints():
    body = body_seen_from(0)
    outlines = build_outlines(body, Appearance(), 200, (300, 200), 0.0)
    boxes = {}
    for outline in outlines:
        polygon = outline.polygons[0]
        boxes.setdefault(outline.part, (polygon.min(0), polygon.max(0)))
    for part, joint in (
        (Part.LEFT_FOREARM, 'left_wrist'),
        (Part.RIGHT_THIGH, 'right_knee'),
        (Part.HEAD, 'head'),
        (Part.TORSO, 'chest'),
    ):
        x, y, _ = body.joints[JOINT[joint]]
        point = np.array([300 + 200 * x, 200 - 200 * y])
        low, high = boxes[part]
        assert (low < point).all() and (point < high).all(), part


def test_near_parts_are_painted_last():
    body = body_seen_from(90)  # the left side is away from the viewer
    far = 'left' if body.joints[JOINT['left_hip']][2] < 0 else 'right'
    order = [
        outline.part
        for outline in build_outlines(body, Appearance(), 200, (0, 0))
    ]
    thighs = (Part.LEFT_THIGH, Part.RIGHT_THIGH)
    first = min(thighs, key=order.index)
    assert first == (Part.LEFT_THIGH if far == 'left' else Part.RIGHT_THIGH)


@pytest.mark.parametrize(
    'yaw, hidden',
    [
        (0, [False] * 5),
        (180, [True, True, True, False, False]),
    ],
)
def test_what_of_the_face_is_turned_away(yaw, hidden):
    away = face_turned_away(body_seen_from(yaw), Appearance())
    assert away.tolist() == hidden


def test_long_hair_hides_the_ears():
    look = Appearance(hair_style='long')
    assert face_turned_away(body_seen_from(0), look)[3:].all()


def test_from_one_side_one_ear_shows():
    away = face_turned_away(body_seen_from(90), Appearance())
    assert away[3] != away[4]


def test_left_eye_is_on_the_right_of_a_frontal_picture():
    points = face_points(body_seen_from(0), Appearance())
    assert points[1, 0] > points[0, 0] > points[2, 0]
    assert points[1, 1] > points[0, 1]
