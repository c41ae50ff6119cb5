import numpy as np

from rmpe_spm.synthetic.appearance import (
    PATTERNS,
    Appearance,
    sample_appearance,
)
from rmpe_spm.synthetic.body_parts import (
    OutlineBuilder,
    Part,
    build_outlines,
    face_points,
)
from rmpe_spm.synthetic.figure import KEYPOINT_NAMES, draw_figure
from rmpe_spm.synthetic.poses import JOINT, Pose, forward_kinematics

SQUARE = np.array([(0, 0, 0), (0.1, 0, 0), (0.1, 0.1, 0), (0, 0.1, 0.0)])
ORIGIN = np.zeros(3)


def builder(perspective=0.0):
    return OutlineBuilder(100.0, (50, 60), perspective, (0, 0), levels=1)


def test_projection_by_hand():
    points = np.array([(0.1, 0.2, 0.0), (0.1, 0.2, 0.5)])
    flat = builder().project(points)
    np.testing.assert_allclose(flat, [(60, 40), (60, 40)])
    near = builder(perspective=0.4).project(points)
    np.testing.assert_allclose(near, [(60, 40), (62.5, 35)])


def test_a_capsule_is_as_long_and_as_wide_as_said():
    build = builder()
    start, end = np.array([-0.1, 0, 0]), np.array([0.2, 0, 0])
    build.capsule(Part.LEFT_THIGH, start, end, 0.05, 0.02)
    (outline,) = build.build()
    polygon = outline.polygons[0]
    assert outline.part == Part.LEFT_THIGH
    np.testing.assert_allclose(polygon.min(0), (35, 55))
    np.testing.assert_allclose(polygon.max(0), (72, 65))


def test_pieces_come_far_to_near():
    build = builder()
    build.hull(Part.TORSO, SQUARE + (0, 0, 0.1))
    build.hull(Part.PELVIS, SQUARE - (0, 0, 0.1))
    build.hull(Part.SKIRT, SQUARE, bias=0.5)
    build.capsule(Part.NECK, ORIGIN, ORIGIN, 0.1, 0.1)
    order = [outline.part for outline in build.build()]
    assert order == [Part.PELVIS, Part.NECK, Part.TORSO, Part.SKIRT]


def body_seen_from(yaw):
    return forward_kinematics(Pose(view=(yaw, 0, 0)), Appearance().proportions)


def test_outlines_lie_around_their_joints():
    body = body_seen_from(0)
    outlines = build_outlines(body, Appearance(), 200, (300, 200), 0.0)
    # of a part's pieces the farthest
    polygons = {o.part: o.polygons[0] for o in reversed(outlines)}
    for part, joint in (
        (Part.LEFT_FOREARM, 'left_wrist'),
        (Part.RIGHT_THIGH, 'right_knee'),
        (Part.HEAD, 'head'),
        (Part.TORSO, 'chest'),
    ):
        x, y, _ = body.joints[JOINT[joint]]
        point = np.array([300 + 200 * x, 200 - 200 * y])
        low, high = polygons[part].min(0), polygons[part].max(0)
        assert (low < point).all() and (point < high).all(), part


def test_near_parts_are_painted_last():
    body = body_seen_from(90)  # the left side is away from the viewer
    left_is_far = body.joints[JOINT['left_hip']][2] < 0
    outlines = build_outlines(body, Appearance(), 200, (0, 0))
    order = [outline.part for outline in outlines]
    left, right = map(order.index, (Part.LEFT_THIGH, Part.RIGHT_THIGH))
    assert (left < right) == left_is_far


def test_left_eye_is_on_the_right_of_a_frontal_picture():
    points = face_points(body_seen_from(0), Appearance())
    assert points[1, 0] > points[0, 0] > points[2, 0]
    assert points[1, 1] > points[0, 1]


def draw(pose=None, stature=200, origin=(150, 130), look=None):
    look, rng = look or Appearance(), np.random.default_rng(0)
    return draw_figure(pose or Pose(), look, stature, origin, (300, 300), rng)


def test_keypoints_of_a_standing_figure_lie_on_their_parts():
    figure = draw()
    points = np.rint(figure.keypoints - (figure.x, figure.y)).astype(int)
    labels = figure.parts[points[:, 1], points[:, 0]]
    on_own = figure.own_parts[np.arange(17), labels]
    assert on_own.all(), [KEYPOINT_NAMES[k] for k in np.flatnonzero(~on_own)]


def test_a_figure_is_as_tall_as_its_stature():
    figure = draw()
    y, _ = np.nonzero(figure.parts)
    top, bottom = y.min() + figure.y, y.max() + figure.y
    assert 0.9 * figure.stature < bottom - top < 1.15 * figure.stature
    assert top - 1 <= figure.core[1] and figure.core[3] < bottom


def test_window_is_cut_by_the_frame():
    figure = draw(origin=(5, 130))
    assert figure.x == 0
    assert figure.parts.shape[1] < draw().parts.shape[1]
    # what lies outside keeps its true place
    assert figure.keypoints[:, 0].min() < 0


def test_nothing_in_the_frame_is_no_figure():
    assert draw(origin=(-500, 130)) is None


def test_size_and_place_move_the_keypoints_only_so():
    small, large = draw(stature=100), draw(stature=200)
    np.testing.assert_allclose(
        (large.keypoints - (150, 130)) / 2, small.keypoints - (150, 130)
    )


def test_what_of_the_face_is_turned_away_has_no_own_parts():
    """Nose, eyes and ears; long hair hides the ears."""

    def seen(yaw, **look):
        figure = draw(Pose(view=(yaw, 0, 0)), look=Appearance(**look))
        return figure.own_parts[:5].any(1).tolist()

    assert seen(0) == [True] * 5
    assert seen(180) == [False] * 3 + [True] * 2
    assert sum(seen(90)[3:]) == 1
    assert seen(0, hair_style='long') == [True] * 3 + [False] * 2


def test_every_kind_of_look_occurs_and_no_other():
    rng = np.random.default_rng(0)
    looks = [sample_appearance(rng) for _ in range(300)]
    hair = {look.hair_style for look in looks}
    assert hair == {'short', 'long', 'bald', 'cap'}
    assert {look.sleeves for look in looks} == {'none', 'short', 'long'}
    assert {look.legwear for look in looks} == {'trousers', 'shorts', 'skirt'}
    assert {look.shirt.pattern for look in looks} == set(PATTERNS)
    assert {look.backpack is None for look in looks} == {True, False}
    assert all(0.75 <= look.girth <= 1.7 for look in looks)
