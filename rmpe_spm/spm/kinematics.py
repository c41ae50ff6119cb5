"""Kinematic trees: which joint hangs on which, for any skeleton.

The hierarchical form of SPM reaches every joint from the person's root along
a path of joints. A tree is a list of parents, ``-1`` standing for the root
itself, which is not a joint (level 1 in the paper); its children have level
2, theirs level 3, and so on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROOT = 'root'
_FLAT_SUFFIX = '-flat'

# the joints of the usual data sets, in their order
_JOINTS = {
    'coco': (
        'nose left_eye right_eye left_ear right_ear left_shoulder '
        'right_shoulder left_elbow right_elbow left_wrist right_wrist '
        'left_hip right_hip left_knee right_knee left_ankle right_ankle'
    ),
    'crowdpose': (
        'left_shoulder right_shoulder left_elbow right_elbow left_wrist '
        'right_wrist left_hip right_hip left_knee right_knee left_ankle '
        'right_ankle top_head neck'
    ),
    'mpii': (
        'right_ankle right_knee right_hip left_hip left_knee left_ankle '
        'pelvis thorax upper_neck head_top right_wrist right_elbow '
        'right_shoulder left_shoulder left_elbow left_wrist'
    ),
    # those that the MPII multi-person evaluation counts
    'mpii14': (
        'right_ankle right_knee right_hip left_hip left_knee left_ankle '
        'upper_neck head_top right_wrist right_elbow '
        'right_shoulder left_shoulder left_elbow left_wrist'
    ),
    'aic': (
        'right_shoulder right_elbow right_wrist left_shoulder left_elbow '
        'left_wrist right_hip right_knee right_ankle left_hip left_knee '
        'left_ankle head_top neck'
    ),
    'posetrack18': (
        'nose head_bottom head_top left_ear right_ear left_shoulder '
        'right_shoulder left_elbow right_elbow left_wrist right_wrist '
        'left_hip right_hip left_knee right_knee left_ankle right_ankle'
    ),
    'panoptic': (
        'neck nose mid_hip left_shoulder left_elbow left_wrist left_hip '
        'left_knee left_ankle right_shoulder right_elbow right_wrist '
        'right_hip right_knee right_ankle left_eye left_ear right_eye '
        'right_ear'
    ),
}
NAMED_TREES = tuple(_JOINTS)

# What a joint hangs on: the first of these that the skeleton has, on the
# joint's own side, or else the root. The levels are the paper's: neck,
# shoulders and hips, then head, elbows and knees, then wrists and ankles.
_PARENTS = {
    'elbow': ('shoulder',),
    'wrist': ('elbow',),
    'knee': ('hip',),
    'ankle': ('knee',),
    'nose': ('neck', 'head_bottom'),
    'eye': ('nose',),
    'ear': ('eye', 'nose'),
    'head_top': ('neck', 'upper_neck', 'head_bottom'),
    'top_head': ('neck',),
}


@dataclass(frozen=True)
class KinematicTree:
    """A validated tree of ``K`` joints below a person's root, which is -1.

    Joints whose names begin with ``left_`` and ``right_`` mirror each other.

    Raises:
        ValueError: If a parent is out of range, the parents form a cycle, a
            name is doubled, or the tree is not symmetric by its names. The
            message names the joint.
    """

    parents: tuple[int, ...]
    joint_names: tuple[str, ...] | None = None

    def __post_init__(self):
        """Check the tree."""
        self._check_names()
        self._check_parents()
        flip_indices = _flip_by_names(self.joint_names or ())
        if flip_indices is not None:
            self.check_symmetry(flip_indices)

    @property
    def num_joints(self) -> int:
        """The number of joints, K."""
        return len(self.parents)

    def describe(self, joint: int) -> str:
        """A joint as it is called in messages, e.g. ``9 ('left_wrist')``."""
        if joint < 0:
            return 'the root'
        if self.joint_names is None:
            return str(joint)
        return f'{joint} ({self.joint_names[joint]!r})'

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The level of each joint: 2 below the root, 3 below those, ..."""
        return tuple(len(self._path(joint)) + 1 for joint in self._joints)

    @cached_property
    def joints_by_level(self) -> tuple[tuple[int, ...], ...]:
        """The joints of level 2, of level 3, ...: parents come first."""
        return tuple(
            tuple(j for j, own in enumerate(self.levels) if own == level)
            for level in range(2, max(self.levels) + 1)
        )

    @cached_property
    def ancestor_matrix(self) -> np.ndarray:
        """``A`` (K, K) with ``A[j, a] = 1`` on the path to ``j``.

        With limb vectors ``v`` (K, 2) the joints lie at ``root + A @ v``.
        """
        matrix = np.zeros((self.num_joints,) * 2, dtype=np.float32)
        for joint in self._joints:
            matrix[joint, self._path(joint)] = 1
        return matrix

    def index(self, name: str) -> int:
        """The index of a joint by name; ``ValueError`` where there is none."""
        if name not in (self.joint_names or ()):
            raise ValueError(
                f'unknown joint {name!r}: this tree has '
                + ', '.join(self.joint_names or ['no joint_names'])
            )
        return self.joint_names.index(name)

    @cached_property
    def flat(self) -> 'KinematicTree':
        """The star over the same joints: every joint hangs on the root."""
        return KinematicTree((-1,) * self.num_joints, self.joint_names)

    def check_symmetry(self, flip_indices: Sequence[int]) -> None:
        """Refuse a flip under which the tree is another one.

        Raises:
            ValueError: Names the joint.
        """
        for joint, other in enumerate(flip_indices):
            parent = self.parents[joint]
            expected = -1 if parent < 0 else flip_indices[parent]
            if self.parents[other] != expected:
                raise ValueError(
                    f'the tree is not symmetric: joint {self.describe(other)} '
                    f'mirrors joint {self.describe(joint)} and must hang on '
                    f'{self.describe(expected)}, not on '
                    + self.describe(self.parents[other])
                )

    @property
    def _joints(self) -> range:
        return range(self.num_joints)

    def _path(self, joint: int) -> list[int]:
        """The joint and its ancestors up to the root, or around a cycle."""
        path = []
        while joint >= 0 and joint not in path:
            path.append(joint)
            joint = self.parents[joint]
        return path

    def _check_names(self) -> None:
        names = self.joint_names
        if names is not None and len(names) != self.num_joints:
            raise ValueError(
                f'{self.num_joints} parents but {len(names)} joint_names'
            )
        for name in names or ():
            if names.count(name) > 1:
                raise ValueError(f'the joint name {name!r} is used twice')

    def _check_parents(self) -> None:
        if not self.parents:
            raise ValueError('a kinematic tree needs at least one joint')
        for joint, parent in enumerate(self.parents):
            if parent not in range(-1, self.num_joints):
                raise ValueError(
                    f'the parent of joint {self.describe(joint)} is '
                    f'{parent!r}, but must be -1 (the root) or an index from '
                    f'0 to {self.num_joints - 1}'
                )
        for joint in self._joints:
            path = self._path(joint)
            last = self.parents[path[-1]]
            if last >= 0:
                cycle = [*path[path.index(last) :], last]
                raise ValueError(
                    f'joint {self.describe(joint)} never reaches the root: '
                    + ' -> '.join(map(self.describe, cycle))
                )


@dataclass(frozen=True)
class PoseRepresentation:
    """How displacement maps stand for poses; what writes and reads them.

    Displacements, over ``normalizer`` (Z, cells), lie in the window around the
    ``'root'`` or each joint's ``'parent'``. Keypoint offsets, vectors to each
    joint from the cells around it, may follow, and last depths: K for each of
    ``depth_locations``, around the ``'root'`` or each ``'joint'``, and the
    root's.
    """

    tree: KinematicTree
    normalizer: float
    location: str = 'root'
    keypoint_offsets: bool = False
    depth_locations: tuple[str, ...] = ()

    @property
    def num_vectors(self) -> int:
        """The number of vectors in the picture's plane."""
        return self.tree.num_joints * (1 + self.keypoint_offsets)

    @property
    def num_depths(self) -> int:
        """The number of depth maps, with the root's."""
        num_joint_depths = self.tree.num_joints * len(self.depth_locations)
        return num_joint_depths + self.with_depths

    @property
    def with_depths(self) -> bool:
        """Whether poses are in three dimensions."""
        return bool(self.depth_locations)

    @property
    def starts_from_cell(self) -> tuple[bool, ...]:
        """Which vectors start from the cell they are read at.

        All of them around parents and in the flat form, else level 2 only;
        the others are vectors between two joints. Keypoint offsets do.
        """
        everywhere = self.location == 'parent'
        starts = [everywhere or level == 2 for level in self.tree.levels]
        return (
            *starts,
            *[True] * self.tree.num_joints * self.keypoint_offsets,
        )


def build_kinematic_tree(
    kinematics: str | Sequence | Mapping | KinematicTree,
) -> KinematicTree:
    """Build a tree from what a config can say.

    That is the name of a known tree: ``'coco'`` (17 joints), ``'crowdpose'``
    (14), ``'mpii'`` (16), ``'mpii14'``, ``'aic'`` (14), ``'posetrack18'``
    (17), ``'panoptic'`` (19), with the suffix ``'-flat'`` the star over the
    same joints (the paper's flat SPR); a list of parent indices, -1 for the
    root; or a mapping with ``parents`` (indices or names) and ``joint_names``.

    Raises:
        ValueError: If the name is unknown or the tree is not valid.

    Example:
        >>> tree = build_kinematic_tree(
        ...     dict(
        ...         joint_names=['hip', 'knee', 'ankle'],
        ...         parents=['root', 'hip', 'knee'],
        ...     )
        ... )
        >>> tree.parents, tree.levels
        ((-1, 0, 1), (2, 3, 4))
    """
    if isinstance(kinematics, KinematicTree):
        return kinematics
    if isinstance(kinematics, str):
        return _named_tree(kinematics)
    if not isinstance(kinematics, Mapping):
        kinematics = dict(parents=kinematics)
    if set(kinematics) - {'joint_names'} != {'parents'}:
        raise ValueError(
            'a kinematics mapping has the keys parents and joint_names (the '
            f'latter optional), got {sorted(kinematics)}'
        )
    return _build_tree(**kinematics)


def _named_tree(name: str) -> KinematicTree:
    base = name.removesuffix(_FLAT_SUFFIX)
    if base not in _JOINTS:
        raise ValueError(
            f'unknown kinematic tree {name!r}; known are '
            f'{", ".join(NAMED_TREES)}, each also with {_FLAT_SUFFIX!r}, or '
            'give a list of parents'
        )
    names = _JOINTS[base].split()
    tree = _build_tree([_usual_parent(joint, names) for joint in names], names)
    return tree.flat if name.endswith(_FLAT_SUFFIX) else tree


def _usual_parent(joint: str, names: Sequence[str]) -> str:
    side, _, base = joint.partition('_')
    if side not in ('left', 'right'):
        side, base = '', joint
    for parent in _PARENTS.get(base, ()):
        for candidate in (f'{side}_{parent}', parent):
            if candidate in names:
                return candidate
    return ROOT


def _build_tree(
    parents: Sequence[int] | Sequence[str],
    joint_names: Sequence[str] | None = None,
) -> KinematicTree:
    names = None if joint_names is None else tuple(joint_names)
    if any(isinstance(parent, str) for parent in parents):
        parents = _indices_of_names(parents, names)
    return KinematicTree(tuple(parents), names)


def _flip_by_names(names: tuple[str, ...]) -> list[int] | None:
    """The joints of the other side, where the names tell all of them."""
    sides = {'left': 'right', 'right': 'left'}
    others = []
    for name in names:
        side, underscore, base = name.partition('_')
        others.append(sides.get(side, side) + underscore + base)
    # without a left or right in any name they may be spelt in another way
    if list(names) == others or not set(others) <= set(names):
        return None
    return [names.index(other) for other in others]


def _indices_of_names(
    parents: Sequence[str], names: tuple[str, ...] | None
) -> list[int]:
    if names is None:
        raise ValueError(
            'parents given by name need `joint_names`: kinematics=dict('
            'parents=[...], joint_names=[...])'
        )
    if ROOT in names:
        raise ValueError(
            f'{ROOT!r} is what parents call the root; a joint needs another '
            'name'
        )
    indices = {name: i for i, name in enumerate(names)} | {ROOT: -1}
    for joint, parent in zip(names, parents, strict=False):
        if parent not in indices:
            raise ValueError(
                f'joint {joint!r} hangs on {parent!r}, which is neither '
                f'{ROOT!r} nor one of the joint_names'
            )
    return [indices.get(parent, parent) for parent in parents]
