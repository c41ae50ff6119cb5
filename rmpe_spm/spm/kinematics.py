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

from .kinematic_tables import ALIASES, NAMED_TREES, ROOT

_FLAT_SUFFIX = '-flat'


@dataclass(frozen=True)
class KinematicTree:
    """A validated tree of ``K`` joints below a person's root.

    Args:
        parents (tuple[int]): The parent of each joint; -1 is the root.
        joint_names (tuple[str], optional): The joints' names, used in
            messages and to find the hips. Defaults to ``None``.
        flip_indices (tuple[int], optional): The joint on the other side of
            the body for each joint (the joint itself where there is none).
            Defaults to ``None``, which leaves the check of symmetry to
            :meth:`check_symmetry`, which the flip test calls.

    Raises:
        ValueError: If a parent is out of range, the parents form a cycle, a
            name is doubled, or the tree is not symmetric under the flip. The
            message names the joint.
    """

    parents: tuple[int, ...]
    joint_names: tuple[str, ...] | None = None
    flip_indices: tuple[int, ...] | None = None

    def __post_init__(self):
        """Check the tree."""
        _validate(self)

    @property
    def num_joints(self) -> int:
        """The number of joints, K."""
        return len(self.parents)

    def describe(self, joint: int) -> str:
        """A joint as it is called in messages, e.g. ``9 ('left_wrist')``."""
        if self.joint_names is None:
            return str(joint)
        return f'{joint} ({self.joint_names[joint]!r})'

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The level of each joint: 2 below the root, 3 below those, ..."""
        levels = []
        for joint in range(self.num_joints):
            level = 2
            while (joint := self.parents[joint]) >= 0:
                level += 1
            levels.append(level)
        return tuple(levels)

    @cached_property
    def joints_by_level(self) -> tuple[tuple[int, ...], ...]:
        """The joints of level 2, of level 3, ...: parents come first."""
        return tuple(
            tuple(j for j, own in enumerate(self.levels) if own == level)
            for level in range(2, max(self.levels) + 1)
        )

    @cached_property
    def ancestor_matrix(self) -> np.ndarray:
        """``A`` (K, K) float32 with ``A[j, a] = 1`` on the path to ``j``.

        Row ``j`` selects the joint itself and all of its ancestors, so that
        with limb vectors ``v`` (K, 2) the joints lie at ``root + A @ v``.
        """
        matrix = np.eye(self.num_joints, dtype=np.float32)
        for joints in self.joints_by_level[1:]:
            for joint in joints:
                matrix[joint] += matrix[self.parents[joint]]
        return matrix

    def index(self, name: str) -> int:
        """The index of a joint by name.

        Args:
            name (str): One of ``joint_names``.

        Returns:
            int: Its index.

        Raises:
            ValueError: If the tree has no names or not this one.
        """
        if self.joint_names is None:
            raise ValueError(
                f'the joint {name!r} is asked for by name, but this tree has '
                'no joint_names; give them in `kinematics`'
            )
        if name not in self.joint_names:
            raise ValueError(
                f'unknown joint {name!r}; this tree has '
                f'{", ".join(self.joint_names)}'
            )
        return self.joint_names.index(name)

    def check_symmetry(self, flip_indices: Sequence[int]) -> None:
        """Refuse a flip under which the tree is another one.

        Args:
            flip_indices (Sequence[int]): The joint on the other side of the
                body for each joint.

        Raises:
            ValueError: If they are not a flip of these joints, or a joint
                and its mirror image hang on joints that don't mirror each
                other. The message names the joint.
        """
        parents, flips = self.parents, flip_indices
        if sorted(flips) != list(range(self.num_joints)):
            known = range(self.num_joints)
            wrong = [j for j in known if list(flips).count(j) != 1]
            names = ', '.join(self.describe(j) for j in wrong) or 'none'
            raise ValueError(
                f'flip_indices must hold each of the {self.num_joints} joints '
                f'once, got {list(flips)}; missing or repeated: {names}'
            )
        for joint, other in enumerate(flips):
            if flips[other] != joint:
                raise ValueError(
                    f'flip_indices send joint {self.describe(joint)} to '
                    f'{self.describe(other)}, but that one to '
                    f'{self.describe(flips[other])}'
                )
            expected = -1 if parents[joint] < 0 else flips[parents[joint]]
            if parents[other] != expected:
                where, not_on = (
                    'the root' if parent < 0 else self.describe(parent)
                    for parent in (expected, parents[other])
                )
                raise ValueError(
                    f'the tree is not symmetric: joint {self.describe(other)} '
                    f'mirrors joint {self.describe(joint)} and must hang on '
                    f'{where}, not on {not_on}'
                )

    def flat(self) -> 'KinematicTree':
        """The star over the same joints: every joint hangs on the root."""
        return KinematicTree(
            (-1,) * self.num_joints, self.joint_names, self.flip_indices
        )


def build_kinematic_tree(
    kinematics: str | Sequence | Mapping | KinematicTree,
) -> KinematicTree:
    """Build a tree from what a config can say.

    Args:
        kinematics (str | Sequence | Mapping | KinematicTree): One of

            - the name of a known tree: ``'coco'`` (17 joints),
              ``'crowdpose'`` (14), ``'mpii'`` (16), ``'mpii14'``, ``'aic'``
              (14), ``'posetrack18'`` (17), ``'panoptic'`` (19). With the
              suffix ``'-flat'`` it is the star over the same joints (the
              paper's flat SPR);
            - a list of parent indices, -1 for the root;
            - a mapping with ``parents`` (indices, or the parents' names with
              ``'root'`` for the root) and optionally ``joint_names``
              (needed with parents' names) and ``flip_indices``. Names that
              begin with ``left_`` and ``right_`` give them otherwise.

    Returns:
        KinematicTree: The validated tree.

    Raises:
        ValueError: If the name is unknown or the tree is not valid.
        TypeError: If ``kinematics`` is none of the above.
    """
    if isinstance(kinematics, KinematicTree):
        return kinematics
    if isinstance(kinematics, str):
        return _named_tree(kinematics)
    if isinstance(kinematics, Mapping):
        unknown = set(kinematics) - {'parents', 'joint_names', 'flip_indices'}
        if unknown or 'parents' not in kinematics:
            raise ValueError(
                'a kinematics mapping has the keys parents, joint_names and '
                f'flip_indices (the last two optional), got '
                f'{sorted(kinematics)}'
            )
        return _tree_from_parents(**kinematics)
    if isinstance(kinematics, Sequence):
        return _tree_from_parents(kinematics)
    raise TypeError(
        'kinematics must be a name, a list of parents or a mapping with '
        f'`parents`, got {type(kinematics).__name__}'
    )


def _named_tree(name: str) -> KinematicTree:
    base = name.removesuffix(_FLAT_SUFFIX)
    base = ALIASES.get(base, base)
    if base not in NAMED_TREES:
        raise ValueError(
            f'unknown kinematic tree {name!r}; known are '
            f'{", ".join(NAMED_TREES)}, each also with {_FLAT_SUFFIX!r}, or '
            'give a list of parents'
        )
    joint_names, parent_names = zip(*NAMED_TREES[base], strict=True)
    tree = _tree_from_parents(parent_names, joint_names)
    return tree.flat() if name.endswith(_FLAT_SUFFIX) else tree


def _other_side(name: str) -> str:
    if name.startswith('left_'):
        return 'right_' + name.removeprefix('left_')
    if name.startswith('right_'):
        return 'left_' + name.removeprefix('right_')
    return name


def _flip_by_names(joint_names: Sequence[str]) -> list[int] | None:
    """The joints of the other side, where the names tell all of them."""
    others = [_other_side(name) for name in joint_names]
    # without a left or right in any name they may be spelt in another way
    if list(joint_names) == others or not set(others) <= set(joint_names):
        return None
    return [list(joint_names).index(other) for other in others]


def _tree_from_parents(
    parents: Sequence[int] | Sequence[str],
    joint_names: Sequence[str] | None = None,
    flip_indices: Sequence[int] | None = None,
) -> KinematicTree:
    parents = list(parents)
    if any(isinstance(parent, str) for parent in parents):
        parents = _indices_of_names(parents, joint_names)
    if flip_indices is None and joint_names is not None:
        flip_indices = _flip_by_names(joint_names)
    return KinematicTree(
        tuple(parents),
        None if joint_names is None else tuple(joint_names),
        None if flip_indices is None else tuple(flip_indices),
    )


def _indices_of_names(
    parents: Sequence[str], joint_names: Sequence[str] | None
) -> list[int]:
    if joint_names is None:
        raise ValueError(
            'parents given by name need `joint_names`: kinematics=dict('
            'parents=[...], joint_names=[...])'
        )
    _check_number_of_names(parents, joint_names)
    if ROOT in joint_names:
        raise ValueError(
            f'{ROOT!r} is what parents call the root; a joint needs another '
            'name'
        )
    indices = {name: i for i, name in enumerate(joint_names)} | {ROOT: -1}
    for joint, parent in zip(joint_names, parents, strict=True):
        if parent not in indices:
            raise ValueError(
                f'joint {joint!r} hangs on {parent!r}, which is neither '
                f'{ROOT!r} nor one of the joint_names'
            )
    return [indices[parent] for parent in parents]


def _check_number_of_names(parents: Sequence, names: Sequence[str]) -> None:
    if len(parents) != len(names):
        raise ValueError(
            f'{len(parents)} parents but {len(names)} joint_names'
        )


def _validate(tree: KinematicTree) -> None:
    parents, names, flips = tree.parents, tree.joint_names, tree.flip_indices
    num_joints = len(parents)
    if num_joints == 0:
        raise ValueError('a kinematic tree needs at least one joint')
    if names is not None:
        _check_number_of_names(parents, names)
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise ValueError(f'the joint name {doubled[0]!r} is used twice')
    for joint, parent in enumerate(parents):
        is_index = isinstance(parent, (int, np.integer))
        if not is_index or isinstance(parent, bool):
            raise ValueError(
                f'the parent of joint {tree.describe(joint)} must be an '
                f'index, got {parent!r}'
            )
        if not -1 <= parent < num_joints:
            raise ValueError(
                f'the parent of joint {tree.describe(joint)} is {parent}, '
                f'but with {num_joints} joints it must be -1 (the root) or '
                f'from 0 to {num_joints - 1}'
            )
    for joint in range(num_joints):
        path, current = [joint], parents[joint]
        while current >= 0 and current not in path:
            path.append(current)
            current = parents[current]
        if current >= 0:
            cycle = path[path.index(current) :] + [current]
            raise ValueError(
                f'joint {tree.describe(joint)} never reaches the root: '
                + ' -> '.join(tree.describe(j) for j in cycle)
            )
    if flips is not None:
        tree.check_symmetry(flips)
