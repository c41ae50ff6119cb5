import numpy as np

from rmpe_spm.synthetic.appearance import Appearance
from rmpe_spm.synthetic.figure import KEYPOINT_NAMES, OWN_PARTS, draw_figure
from rmpe_spm.synthetic.outline_builder import Part
from rmpe_spm.synthetic.pose_sampling import sample_pose
from rmpe_spm.synthetic.skeleton import Pose


def draw(pose=None, stature=200, origin=(150, 130), size=(300, 300)):
    return draw_figure(
        pose or Pose(),
        Appearance(),
        stature,
        origin,
        size,
        np.random.default_rng(0),
    )


def test_keypoints_of_a_standing_figure_lie_on_their_parts():
    figure = draw()
    points = np.rint(figure.keypoints - (figure.x, figure.y)).astype(int)
    labels = figure.parts[points[:, 1], points[:, 0]]
    on_own = figure.own_parts[np.arange(17), labels]
    assert on_own.all(), [KEYPOINT_NAMES[k] for k in np.flatnonzero(~on_own)]


def test_box_holds_all_that_is_drawn():
    figure = draw()
    y, x = np.nonzero(figure.parts)
    assert figure.box[0] - 1 <= x.min() + figure.x
    assert x.max() + figure.x <= figure.box[2] + 1
    assert figure.box[1] - 1 <= y.min() + figure.y
    assert y.max() + figure.y <= figure.box[3] + 1
    height = figure.box[3] - figure.box[1]
    assert 0.9 * figure.stature < height < 1.15 * figure.stature
    assert figure.core[3] < figure.box[3] and figure.core[1] >= figure.box[1]


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


def test_a_seen_from_behind_face_has_no_own_parts():
    pose = Pose(view=(180, 0, 0))
    figure = draw(pose)
    assert not figure.own_parts[:3].any()
    assert figure.own_parts[3:5].any(1).all()


def test_same_seed_same_picture():
    pose = sample_pose(np.random.default_rng(1))
    first, second = draw(pose), draw(pose)
    np.testing.assert_array_equal(first.image, second.image)


def test_limbs_carry_only_their_own_joints():
    left_wrist = KEYPOINT_NAMES.index('left_wrist')
    assert OWN_PARTS[left_wrist, Part.LEFT_HAND]
    assert not OWN_PARTS[left_wrist, Part.RIGHT_HAND]
    assert not OWN_PARTS[left_wrist, Part.TORSO]
