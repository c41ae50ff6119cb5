"""The codec's encoding once more, one pixel, joint and person at a time."""

import math

import numpy as np


def _root(points, labelled, root_type, tree):
    seen = [points[k] for k in range(len(points)) if labelled[k]]
    if not seen:
        return None
    mean = [sum(p[a] for p in seen) / len(seen) for a in (0, 1)]
    if root_type == 'kpt_center':
        return mean
    if root_type == 'bbox_center':
        return [
            (min(p[a] for p in seen) + max(p[a] for p in seen)) / 2
            for a in (0, 1)
        ]
    if root_type == 'pelvis':
        for names in (['pelvis'], ['mid_hip'], ['left_hip', 'right_hip']):
            if not set(names) <= set(tree.joint_names):
                continue
            hips = [tree.joint_names.index(name) for name in names]
            if all(labelled[h] for h in hips):
                return [
                    sum(points[h][a] for h in hips) / len(hips) for a in (0, 1)
                ]
        return mean
    return list(points[root_type]) if labelled[root_type] else mean


def _squared(p, center, metric):
    return sum(((p[a] - center[a]) * metric[a]) ** 2 for a in (0, 1))


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
    stride = [
        i / h
        for i, h in zip(codec.input_size, codec.heatmap_size, strict=True)
    ]
    metric = (1, 1) if codec.unit == 'cells' else stride
    num_joints = tree.num_joints
    persons = []
    for joints, flags in zip(keypoints, visible, strict=True):
        points = [(x / stride[0], y / stride[1]) for x, y in joints]
        root = _root(points, flags > 0, codec.root_type, tree)
        if root is not None:
            seen = joints[flags > 0]
            size = math.hypot(*(seen.max(axis=0) - seen.min(axis=0)))
            persons.append((points, flags > 0, root, size))

    def inside(p, center):
        return _squared(p, center, metric) <= codec.tau**2

    def gaussian(p, center, sigma):
        return math.exp(-_squared(p, center, metric) / sigma**2)

    heatmaps = np.zeros((num_joints + 1, height, width))
    targets = np.zeros((num_joints, 2, height, width))
    weights = np.zeros((num_joints, 2, height, width))
    for y in range(height):
        for x in range(width):
            p = (x, y)
            for points, labelled, root, _ in persons:
                value = gaussian(p, root, codec.sigma)
                heatmaps[-1, y, x] = max(heatmaps[-1, y, x], value)
                for joint in range(num_joints):
                    if labelled[joint]:
                        value = gaussian(
                            p, points[joint], codec.keypoint_sigma
                        )
                        heatmaps[joint, y, x] = max(
                            heatmaps[joint, y, x], value
                        )
            owner = None
            if codec.displacement_location == 'root':
                rivals = [
                    i
                    for i, person in enumerate(persons)
                    if inside(p, person[2])
                ]
                owner = _best(rivals, codec, persons, metric, p, None)
            for joint in range(num_joints):
                found = []
                for i, (points, labelled, root, _) in enumerate(persons):
                    if not labelled[joint]:
                        continue
                    anchor = _anchor(
                        joint, labelled, tree, codec.missing_parent
                    )
                    if anchor is None:
                        continue
                    base = root if anchor < 0 else points[anchor]
                    at_root = codec.displacement_location == 'root'
                    center = root if at_root else base
                    if not inside(p, center):
                        continue
                    start = p if (anchor < 0 or not at_root) else base
                    vector = [points[joint][a] - start[a] for a in (0, 1)]
                    found.append((i, vector, center))
                if codec.displacement_location == 'parent':
                    centers = {i: center for i, _, center in found}
                    owner = _best(
                        list(centers), codec, persons, metric, p, centers
                    )
                if codec.overlap != 'mean':
                    found = [entry for entry in found if entry[0] == owner]
                if found:
                    mean = np.mean([vector for _, vector, _ in found], axis=0)
                    targets[joint, :, y, x] = mean / codec.normalizer
                    weights[joint, :, y, x] = 1
    if not codec.generate_keypoint_heatmaps:
        heatmaps = heatmaps[-1:]
    if codec.generate_keypoint_offsets:
        offsets, own = _keypoint_offsets(codec, persons, metric)
        targets = np.concatenate((targets, offsets))
        weights = np.concatenate((weights, own))
    return dict(
        heatmaps=heatmaps,
        displacements=targets.reshape(-1, height, width),
        displacement_weights=weights.reshape(-1, height, width),
    )


def _best(rivals, codec, persons, metric, p, centers):
    if not rivals or codec.overlap == 'mean':
        return None
    if codec.overlap == 'smaller':
        return min(rivals, key=lambda i: (persons[i][3], i))
    return min(
        rivals,
        key=lambda i: (
            _squared(p, centers[i] if centers else persons[i][2], metric),
            i,
        ),
    )


def _keypoint_offsets(codec, persons, metric):
    """Around each joint the vectors to it."""
    width, height = codec.heatmap_size
    shape = (codec.tree.num_joints, 2, height, width)
    targets, weights = np.zeros(shape), np.zeros(shape)
    for joint, y, x in np.ndindex(shape[0], height, width):
        centers = {
            i: points[joint]
            for i, (points, labelled, _, _) in enumerate(persons)
            if labelled[joint]
            and _squared((x, y), points[joint], metric) <= codec.tau**2
        }
        if codec.overlap != 'mean':
            owner = _best(
                list(centers), codec, persons, metric, (x, y), centers
            )
            centers = {i: c for i, c in centers.items() if i == owner}
        if centers:
            mean = np.mean(list(centers.values()), axis=0)
            targets[joint, :, y, x] = (mean - (x, y)) / codec.normalizer
            weights[joint, :, y, x] = 1
    return targets, weights
