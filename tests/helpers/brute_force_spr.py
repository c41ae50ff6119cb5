"""The codec's encoding once more, one joint and one person at a time."""

from typing import NamedTuple

import numpy as np


class Person(NamedTuple):
    points: np.ndarray  # in cells
    labelled: np.ndarray
    root: np.ndarray
    size: float


class Vector(NamedTuple):
    """What a map shows of a person around a place."""

    person: int
    center: np.ndarray
    start: np.ndarray
    end: np.ndarray


def _root(points, labelled, root_type, tree):
    seen = points[labelled]
    if root_type == 'bbox_center':
        return (seen.min(axis=0) + seen.max(axis=0)) / 2
    if root_type == 'pelvis':
        for names in ({'pelvis'}, {'mid_hip'}, {'left_hip', 'right_hip'}):
            hips = [k for k, j in enumerate(tree.joint_names) if j in names]
            if len(hips) == len(names) and labelled[hips].all():
                return points[hips].mean(axis=0)
    elif root_type != 'kpt_center':
        names = tree.joint_names or ()
        joint = names.index(root_type) if root_type in names else root_type
        if labelled[joint]:
            return points[joint]
    return seen.mean(axis=0)


def _anchor(joint, labelled, tree, missing_parent):
    """The joint (or -1, the root) that a displacement starts from."""
    parent = tree.parents[joint]
    if missing_parent == 'ancestor':
        while parent >= 0 and not labelled[parent]:
            parent = tree.parents[parent]
    elif parent >= 0 and not labelled[parent]:
        return None
    return parent


def encode(codec, keypoints, visible):
    """Encode as ``codec`` does, from the definitions alone."""
    tree = codec.tree
    width, height = codec.heatmap_size
    stride = np.divide(codec.input_size, codec.heatmap_size)
    metric = 1 if codec.unit == 'cells' else stride
    cells = np.stack(np.meshgrid(range(width), range(height)), axis=-1)
    people = []
    for joints, labelled in zip(keypoints, visible > 0, strict=True):
        if labelled.any():
            points = joints / stride
            root = _root(points, labelled, codec.root_type, tree)
            size = np.linalg.norm(np.ptp(joints[labelled], axis=0))
            people.append(Person(points, labelled, root, size))

    def squared(center):
        return (((cells - center) * metric) ** 2).sum(axis=-1)

    def peaks(centers, sigma):
        maps = [np.exp(-squared(center) / sigma**2) for center in centers]
        return np.max([np.zeros((height, width)), *maps], axis=0)

    def draw(vectors, rivals=None):
        """The mean of the vectors of those who own a cell."""
        owner = np.full((height, width), -1)
        lowest = np.full((height, width), np.inf)
        rivals = rivals or {v.person: v.center for v in vectors}
        for i, center in rivals.items():
            distance = squared(center)
            cost = people[i].size if codec.overlap == 'smaller' else distance
            cost = np.where(distance <= codec.tau**2, cost, np.inf)
            owner = np.where(cost < lowest, i, owner)
            lowest = np.minimum(cost, lowest)
        total, count = np.zeros((height, width, 2)), np.zeros((height, width))
        for i, center, start, end in vectors:
            own = squared(center) <= codec.tau**2
            if codec.overlap != 'mean':
                own &= owner == i
            total += own[..., None] * (end - start)
            count += own
        mean = total / np.maximum(count, 1)[..., None] / codec.normalizer
        return np.moveaxis(mean, -1, 0), np.stack([count > 0] * 2)

    def displacement(i, joint):
        points, labelled, root, _ = people[i]
        anchor = _anchor(joint, labelled, tree, codec.missing_parent)
        if not labelled[joint] or anchor is None:
            return []
        base = root if anchor < 0 else points[anchor]
        if codec.displacement_location == 'parent':
            return [Vector(i, base, cells, points[joint])]
        start = cells if anchor < 0 else base
        return [Vector(i, root, start, points[joint])]

    def offset(i, joint):
        point = people[i].points[joint]
        seen = people[i].labelled[joint]
        return [Vector(i, point, cells, point)] if seen else []

    def draw_all(vectors_of, rivals=None):
        return [
            draw([v for i in everybody for v in vectors_of(i, joint)], rivals)
            for joint in range(tree.num_joints)
        ]

    everybody = range(len(people))
    heatmaps = [peaks([person.root for person in people], codec.sigma)]
    if codec.generate_keypoint_heatmaps:
        sigma = codec.keypoint_sigma
        heatmaps[:0] = [
            peaks([p.points[k] for p in people if p.labelled[k]], sigma)
            for k in range(tree.num_joints)
        ]
    rivals = {i: people[i].root for i in everybody}
    at_root = codec.displacement_location == 'root'
    maps = draw_all(displacement, rivals if at_root else None)
    if codec.generate_keypoint_offsets:
        maps += draw_all(offset)
    targets, weights = map(np.concatenate, zip(*maps, strict=True))
    return dict(
        heatmaps=np.stack(heatmaps),
        displacements=targets,
        displacement_weights=weights,
    )
