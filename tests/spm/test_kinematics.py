import numpy as np
import pytest
from mmpose.datasets.datasets import body

from rmpe_spm.spm.kinematics import (
    NAMED_TREES,
    KinematicTree,
    PoseRepresentation,
    build_kinematic_tree,
)

# parents written out by hand, independent of the names in the package
PARENTS = {
    'coco': [-1, 0, 0, 1, 2, -1, -1, 5, 6, 7, 8, -1, -1, 11, 12, 13, 14],
    'crowdpose': [-1, -1, 0, 1, 2, 3, -1, -1, 6, 7, 8, 9, 13, -1],
    'mpii': [1, 2, -1, -1, 3, 4, -1, -1, -1, 8, 11, 12, -1, -1, 13, 14],
    'mpii14': [1, 2, -1, -1, 3, 4, -1, 6, 9, 10, -1, -1, 11, 12],
    'aic': [-1, 0, 1, -1, 3, 4, -1, 6, 7, -1, 9, 10, 13, -1],
    'posetrack18': [1, -1, 1, 0, 0, -1, -1, 5, 6, 7, 8]
    + [-1, -1, 11, 12, 13, 14],
    'panoptic': [-1, 0, -1, -1, 3, 4, -1, 6, 7, -1, 9, 10, -1, 12, 13]
    + [1, 15, 1, 17],
}


@pytest.mark.parametrize('name', NAMED_TREES)
def test_named_trees(name):
    assert list(build_kinematic_tree(name).parents) == PARENTS[name]


@pytest.mark.parametrize(
    ('name', 'dataset'),
    [
        ('coco', body.CocoDataset),
        ('crowdpose', body.CrowdPoseDataset),
        ('mpii', body.MpiiDataset),
        ('aic', body.AicDataset),
        ('posetrack18', body.PoseTrack18Dataset),
    ],
)
def test_named_trees_have_mmpose_joint_order(name, dataset):
    meta = dataset._load_metainfo(dataset.METAINFO)
    tree = build_kinematic_tree(name)
    assert tree.joint_names == tuple(meta['keypoint_id2name'].values())
    tree.check_symmetry(meta['flip_indices'])


def named(joint_names, *parents):
    return dict(parents=parents, joint_names=joint_names.split())


def test_levels_and_ancestors():
    tree = build_kinematic_tree('coco')
    assert tree.levels == (2, 3, 3, 4, 4, 2, 2, 3, 3, 4, 4, 2, 2, 3, 3, 4, 4)
    wrist = tree.index('left_wrist')
    assert np.flatnonzero(tree.ancestor_matrix[wrist]).tolist() == [5, 7, 9]
    order = [j for joints in tree.joints_by_level for j in joints]
    assert sorted(order) == list(range(17))
    for joint, parent in enumerate(tree.parents):
        assert parent < 0 or order.index(parent) < order.index(joint)


def test_flat_is_the_star():
    tree = build_kinematic_tree('coco-flat')
    assert tree.parents == (-1,) * 17
    np.testing.assert_array_equal(tree.ancestor_matrix, np.eye(17))
    assert set(tree.levels) == {2}
    assert tree.joint_names == build_kinematic_tree('coco').joint_names


def test_starts_from_cell():
    tree = build_kinematic_tree('coco')
    at_root = PoseRepresentation(tree, 1.0).starts_from_cell
    assert np.flatnonzero(at_root).tolist() == [0, 5, 6, 11, 12]
    assert all(PoseRepresentation(tree.flat, 1.0).starts_from_cell)
    assert all(PoseRepresentation(tree, 1.0, 'parent').starts_from_cell)
    with_offsets = PoseRepresentation(tree, 1.0, keypoint_offsets=True)
    assert with_offsets.starts_from_cell == (*at_root, *[True] * 17)


def test_custom_trees_by_index_and_by_name_agree():
    by_index = build_kinematic_tree([-1, 0, 1])
    by_name = build_kinematic_tree(named('a b c', 'root', 'a', 'b'))
    assert by_index.parents == by_name.parents == (-1, 0, 1)
    assert build_kinematic_tree(by_name) is by_name


@pytest.mark.parametrize(
    ('kinematics', 'message'),
    [
        ('human', "unknown kinematic tree 'human'.*coco"),
        ([], 'at least one joint'),
        ([-1, 5], r'parent of joint 1 is 5'),
        ([-1, -2], r'parent of joint 1 is -2'),
        ([-1, 1], r'joint 1 never reaches the root: 1 -> 1'),
        ([1, 2, 0], r'joint 0 never reaches the root: 0 -> 1 -> 2 -> 0'),
        ([-1, 0.5], r'parent of joint 1 is 0.5, but must be .* an index'),
        (['root', 'a'], 'joint_names'),
        (named('a b', 'root', 'hip'), "joint 'b' hangs on 'hip'"),
        (named('a a', -1, -1), "'a' is used twice"),
        (named('a', -1, 0), '2 parents but 1'),
        # told before the surplus parent is looked for
        (named('a b', 'root', 'a', 'hip'), '3 parents but 2'),
        (named('root a', 'root', 'root'), "'root' is what parents call the"),
        (dict(parent=[-1, 0]), 'keys parents'),
        (
            named('neck left_hip right_hip', 'root', 'neck', 'root'),
            r"not symmetric: joint 2 \('right_hip'\) mirrors joint 1 "
            r"\('left_hip'\) and must hang on 0 \('neck'\), not on the root",
        ),
    ],
)
def test_errors_name_the_joint(kinematics, message):
    with pytest.raises(ValueError, match=message):
        build_kinematic_tree(kinematics)


# a side of a joint without the other, or spelt in another way
@pytest.mark.parametrize('names', ['neck left_hip tail', 'neck hip_l hip_r'])
def test_names_that_tell_no_flip_are_not_checked(names):
    build_kinematic_tree(named(names, 'root', 'neck', 'root'))


def test_symmetry_of_a_tree_without_names():
    tree = build_kinematic_tree([-1, 0, -1])
    tree.check_symmetry([0, 1, 2])
    with pytest.raises(ValueError, match='joint 2 mirrors joint 1 and must'):
        tree.check_symmetry([0, 2, 1])


def test_joints_by_name():
    tree = build_kinematic_tree('coco')
    assert tree.index('left_wrist') == 9
    with pytest.raises(ValueError, match="unknown joint 'tail'"):
        tree.index('tail')
    with pytest.raises(ValueError, match='no joint_names'):
        KinematicTree((-1,)).index('nose')
