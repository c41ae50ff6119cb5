import torch

from rmpe_spm.spm.decoding import (
    gather_at_cells,
    read_parent_located,
    read_root_located,
    snap_to_peaks,
)
from rmpe_spm.spm.kinematics import build_kinematic_tree


def test_gather():
    maps = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    cells = torch.tensor([[7, 0], [19, 19]])
    values = gather_at_cells(maps, cells)
    assert values[0, 2].tolist() == [maps[0, 2, 1, 2], maps[0, 2, 0, 0]]
    assert values[1, 0].tolist() == [maps[1, 0, 3, 4]] * 2


def test_root_located_adds_up_the_path():
    tree = build_kinematic_tree([-1, 0, 1])
    maps = torch.zeros(1, 6, 8, 8)
    maps[0, :, 2, 5] = torch.tensor([1.0, 0, 0.5, 0.25, -1, 1])
    joints = read_root_located(
        maps, torch.tensor([[21]]), torch.tensor(tree.ancestor_matrix), 4.0
    )
    assert joints[0, 0].tolist() == [[9, 2], [11, 3], [7, 7]]


def test_parent_located_reads_a_chain_and_stays_on_the_map():
    tree = build_kinematic_tree([-1, 0, 1])
    maps = torch.zeros(1, 6, 8, 8)
    maps[0, :2, 2, 5] = torch.tensor([-2.4, 1.0])  # to (2.6, 3): cell (3, 3)
    maps[0, 2:4, 3, 3] = torch.tensor([-1.0, 9.0])  # to (2, 12): below
    maps[0, 4:, 7, 2] = torch.tensor([1.0, 0.5])
    joints = read_parent_located(maps, torch.tensor([[21]]), tree, 1.0)
    torch.testing.assert_close(
        joints[0, 0], torch.tensor([[2.6, 3], [2, 12], [3, 7.5]])
    )


def test_parent_located_reads_children_where_a_snapped_joint_is():
    tree = build_kinematic_tree([-1, 0, 1])
    maps = torch.zeros(1, 6, 8, 8)
    maps[0, :2, 2, 5] = torch.tensor([-2.0, 1.0])  # to (3, 3), a cell left
    maps[0, 2:4, 3, 4] = torch.tensor([0.0, 2.0])  # its child, from the peak
    maps[0, 4:, 5, 4] = torch.tensor([1.0, 0.5])
    peaks = torch.full((1, 3, 1, 3), float('inf'))
    peaks[0, 0, 0] = torch.tensor([4.25, 3.0, 1.0])
    reach = torch.full((1, 1), 1.5)
    levels = []

    def snap(joints, level):
        levels.append(tuple(level))
        return snap_to_peaks(joints, peaks[:, list(level)], reach)

    joints = read_parent_located(
        maps,
        torch.tensor([[21]]),
        tree,
        1.0,
        snap,
    )
    assert levels == [(0,), (1,), (2,)]
    assert joints[0, 0].tolist() == [[4.25, 3], [4, 5], [5, 5.5]]
