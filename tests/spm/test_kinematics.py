import numpy as np
import pytest

from rmpe_spm.spm.kinematics import KinematicTree, build_kinematic_tree


def test_levels_and_ancestors():
    tree = build_kinematic_tree('coco')
    assert tree.levels == (2, 3, 3, 4, 4, 2, 2, 3, 3, 4, 4, 2, 2, 3, 3, 4, 4)
    wrist = tree.index('left_wrist')
    assert np.flatnonzero(tree.ancestor_matrix[wrist]).tolist() == [5, 7, 9]
    assert max(build_kinematic_tree('panoptic').levels) == 5
    order = [j for joints in tree.joints_by_level for j in joints]
    assert sorted(order) == list(range(17))
    for joint, parent in enumerate(tree.parents):
        if parent >= 0:
            assert order.index(parent) < order.index(joint)


def test_ancestor_matrix_of_deep_chain_listed_backwards():
    tree = build_kinematic_tree([1, 2, 3, -1])
    expected = [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    np.testing.assert_array_equal(tree.ancestor_matrix, expected)


def test_flat_is_the_star():
    tree = build_kinematic_tree('coco17-flat')
    assert tree.parents == (-1,) * 17
    np.testing.assert_array_equal(tree.ancestor_matrix, np.eye(17))
    assert set(tree.levels) == {2}
    assert tree.joint_names == build_kinematic_tree('coco').joint_names


def test_custom_trees_by_index_and_by_name_agree():
    by_index = build_kinematic_tree([-1, 0, 1])
    by_name = build_kinematic_tree(
        dict(parents=['root', 'a', 'b'], joint_names=['a', 'b', 'c'])
    )
    assert by_index.parents == by_name.parents == (-1, 0, 1)
    assert build_kinematic_tree(by_name) is by_name
    assert build_kinematic_tree([-1]).levels == (2,)


@pytest.mark.parametrize(
    ('kinematics', 'message'),
    [
        ('human', "unknown kinematic tree 'human'.*coco"),
        ([], 'at least one joint'),
        ([-1, 5], r'parent of joint 1 is 5'),
        ([-1, -2], r'parent of joint 1 is -2'),
        ([-1, 1], r'joint 1 never reaches the root: 1 -> 1'),
        ([1, 2, 0], r'joint 0 never reaches the root: 0 -> 1 -> 2 -> 0'),
        ([-1, 0.5], r'parent of joint 1 must be an index'),
        (['root', 'a'], 'joint_names'),
        (
            dict(parents=['root', 'hip'], joint_names=['a', 'b']),
            "joint 'b' hangs on 'hip'",
        ),
        (
            dict(parents=[-1, -1], joint_names=['a', 'a']),
            "'a' is used twice",
        ),
        (dict(parents=[-1, 0], joint_names=['a']), '2 parents but 1'),
        # told before the surplus parent is looked for
        (
            dict(parents=['root', 'a', 'hip'], joint_names=['a', 'b']),
            '3 parents but 2',
        ),
        (
            dict(parents=['root', 'root'], joint_names=['root', 'a']),
            "'root' is what parents call the root",
        ),
        (dict(parent=[-1, 0]), 'keys parents'),
        (
            dict(parents=[-1, 0, -1], flip_indices=[0, 2, 1]),
            r'joint 2 mirrors joint 1 and must hang on 0, not on the root',
        ),
        (
            dict(parents=[-1, -1, 0], flip_indices=[0, 2, 1]),
            r'joint 2 mirrors joint 1 and must hang on the root, not on 0',
        ),
        (
            dict(parents=[-1, -1, -1], flip_indices=[1, 2, 0]),
            'send joint 0 to 1, but that one to 2',
        ),
        (dict(parents=[-1, -1], flip_indices=[0, 0]), 'once.*: 0, 1$'),
        (
            dict(
                parents=['root', 'neck', 'root'],
                joint_names=['neck', 'left_hip', 'right_hip'],
            ),
            r"not symmetric: joint 2 \('right_hip'\) mirrors joint 1",
        ),
    ],
)
def test_errors_name_the_joint(kinematics, message):
    with pytest.raises(ValueError, match=message):
        build_kinematic_tree(kinematics)


def test_names_give_the_flip():
    names = ['neck', 'left_hip', 'right_hip']
    parents = ['root', 'neck', 'neck']
    tree = build_kinematic_tree(dict(parents=parents, joint_names=names))
    assert tree.flip_indices == (0, 2, 1)
    # a side of a joint without the other, or spelt in another way
    for last in ('tail', 'hip_r'):
        names = ['neck', 'left_hip' if last == 'tail' else 'hip_l', last]
        tree = build_kinematic_tree(dict(parents=parents, joint_names=names))
        assert tree.flip_indices is None


def test_symmetry_of_a_tree_without_names():
    tree = build_kinematic_tree([-1, 0, -1])
    tree.check_symmetry([0, 1, 2])
    with pytest.raises(ValueError, match='joint 2 mirrors joint 1'):
        tree.check_symmetry([0, 2, 1])
    with pytest.raises(ValueError, match='each of the 3 joints'):
        tree.check_symmetry([0, 1])


def test_wrong_type_and_names():
    with pytest.raises(TypeError, match='list of parents'):
        build_kinematic_tree(17)
    with pytest.raises(ValueError, match="unknown joint 'tail'"):
        build_kinematic_tree('coco').index('tail')
    with pytest.raises(ValueError, match='no joint_names'):
        KinematicTree((-1,)).index('nose')
