import pytest

from rmpe_spm.spm.kinematic_tables import ALIASES, NAMED_TREES
from rmpe_spm.spm.kinematics import build_kinematic_tree

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
    tree = build_kinematic_tree(name)
    assert list(tree.parents) == PARENTS[name]
    assert tree.flip_indices is not None
    # the constructor checks the symmetry; here against broken copies of it
    assert any(f != i for i, f in enumerate(tree.flip_indices))


@pytest.mark.parametrize('name', ['coco', 'crowdpose', 'mpii'])
def test_named_trees_have_mmpose_joint_order(name):
    from mmpose.datasets.datasets import body

    dataset = {
        'coco': body.CocoDataset,
        'crowdpose': body.CrowdPoseDataset,
        'mpii': body.MpiiDataset,
    }[name]
    meta = dataset._load_metainfo(dataset.METAINFO)
    tree = build_kinematic_tree(name)
    names = [meta['keypoint_id2name'][i] for i in range(tree.num_joints)]
    assert list(tree.joint_names) == names
    assert list(tree.flip_indices) == meta['flip_indices']


@pytest.mark.parametrize(('alias', 'name'), ALIASES.items())
def test_aliases_end_in_the_number_of_joints(alias, name):
    tree = build_kinematic_tree(alias)
    assert tree == build_kinematic_tree(name)
    assert alias == f'{name}{tree.num_joints}'
