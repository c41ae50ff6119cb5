from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rmpe_spm.mpii.dataset import mpii14_metainfo
from rmpe_spm.spm.kinematics import build_kinematic_tree

WHOLE = dict(from_file='configs/_base_/datasets/mpii.py')


def test_fourteen_joints():
    old = parse_pose_metainfo(WHOLE)
    new = parse_pose_metainfo(mpii14_metainfo(old))
    names = [new['keypoint_id2name'][i] for i in range(14)]
    # the order of the kinematic tree
    assert tuple(names) == build_kinematic_tree('mpii14').joint_names
    assert new['num_keypoints'] == 14
    for i, name in enumerate(names):
        j = old['keypoint_name2id'][name]
        partner = old['keypoint_id2name'][old['flip_indices'][j]]
        assert names[new['flip_indices'][i]] == partner
        assert new['sigmas'][i] == old['sigmas'][j]
        assert (
            new['dataset_keypoint_weights'][i]
            == old['dataset_keypoint_weights'][j]
        )
        assert (i in new['upper_body_ids']) == (j in old['upper_body_ids'])
    links = {(names[a], names[b]) for a, b in new['skeleton_links']}
    assert ('right_ankle', 'right_knee') in links
    assert ('left_shoulder', 'left_hip') in links
    linked = {name for link in links for name in link}
    assert linked == set(names)
