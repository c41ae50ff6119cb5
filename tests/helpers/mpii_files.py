"""Annotations of MPII as its files have them, written by the tests."""

import cv2
import numpy as np
from mmpose.registry import DATASETS
from scipy.io import savemat

RECT = ['x1', 'y1', 'x2', 'y2', 'annopoints', 'scale', 'objpos']


def struct(values, names):
    """A MATLAB structure array of shape (1, N)."""
    array = np.empty((1, len(values)), dtype=[(name, 'O') for name in names])
    for index, value in enumerate(values):
        array[0, index] = tuple(value[name] for name in names)
    return array


def point(joint, x, y, visible=1):
    return dict(x=x, y=y, id=joint, is_visible=visible)


def person(keypoints, head=(0, 0, 30, 40), center=None, scale=1.0):
    """A person of ``annorect``; keypoints is {id: (x, y)}."""
    # the release has flags of three kinds
    flags = [1, '0', np.zeros((0, 0))]
    points = [
        point(joint, x, y, flags[index % 3])
        for index, (joint, (x, y)) in enumerate(keypoints.items())
    ]
    nothing = np.zeros((0, 0))
    place = nothing
    if center is not None:
        place = struct([dict(x=center[0], y=center[1])], ['x', 'y'])
    names = ['x', 'y', 'id', 'is_visible']
    sides = dict(zip(('x1', 'y1', 'x2', 'y2'), head, strict=True))
    return dict(
        **sides,
        annopoints=struct([dict(point=struct(points, names))], ['point'])
        if points
        else nothing,
        scale=scale if center is not None else nothing,
        objpos=place,
    )


def write_release(path, images, train=None):
    """Write ``{name: [person, ...]}`` as ``RELEASE``."""
    entries = []
    for name, people in images.items():
        image = struct([dict(name=name)], ['name'])
        rects = struct(people, RECT) if people else np.zeros((0, 0))
        entries.append(dict(image=image, annorect=rects, vididx=1.0))
    flags = np.ones(len(images)) if train is None else train
    release = dict(
        annolist=struct(entries, ['image', 'annorect', 'vididx']),
        img_train=np.array(flags, np.uint8)[None],
        version='12',
    )
    savemat(path, dict(RELEASE=release))
    return path


def standing(x, y, height=160.0):
    """All 16 joints of a person whose ``objpos`` is (x, y)."""
    unit = np.array(
        [
            [-0.1, 0.5], [-0.1, 0.27], [-0.1, 0.05], [0.1, 0.05], [0.1, 0.27],
            [0.1, 0.5], [0, 0.05], [0, -0.28], [0, -0.33], [0, -0.5],
            [-0.3, 0.05], [-0.25, -0.1], [-0.15, -0.28], [0.15, -0.28],
            [0.25, -0.1], [0.3, 0.05],
        ]
    )  # fmt: skip
    joints = np.array([x, y]) + height * unit
    return {index: tuple(joint) for index, joint in enumerate(joints.tolist())}


def standing_person(x, y, height=160.0, leave_out=(), **changes):
    """A person as :func:`standing` with a head box of 0.6 x 50 pixels."""
    joints = {
        joint: place
        for joint, place in standing(x, y, height).items()
        if joint not in leave_out
    }
    head = (x - 15, y - height / 2, x + 15, y - height / 2 + 40)
    options = dict(head=head, center=(x, y), scale=height / 200)
    return person(joints, **{**options, **changes})


def write_groups(path, groups):
    """Write numbers of people, by image and group, as ``groups_v12.mat``."""
    cells = np.empty((1, len(groups)), object)
    for image, parts in enumerate(groups):
        cells[0, image] = np.empty((1, len(parts)), object)
        for index, part in enumerate(parts):
            cells[0, image][0, index] = np.array([part], float)
    savemat(path, dict(groups=cells))
    return path


def write_data(root, images, train=None):
    """Write ``mpii.mat`` and pictures of noise; return the folder."""
    write_release(root / 'mpii.mat', images, train)
    (root / 'images').mkdir()
    rng = np.random.default_rng(0)
    for name in images:
        pixels = rng.integers(0, 255, (240, 800, 3), dtype=np.uint8)
        cv2.imwrite(str(root / 'images' / name), pixels)
    return root


def build(root, **options):
    """Build the data set of what :func:`write_data` has written."""
    settings = dict(
        type='MpiiMultiPersonDataset',
        data_root=str(root),
        data_prefix=dict(img='images/'),
        ann_file='mpii.mat',
        split='train',
        test_mode=True,
    )
    return DATASETS.build(settings | options)
