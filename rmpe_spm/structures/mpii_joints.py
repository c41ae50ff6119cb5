"""The joints of MPII: their orders, and the columns of its tables."""

import numpy as np

MPII16 = (
    'right_ankle',
    'right_knee',
    'right_hip',
    'left_hip',
    'left_knee',
    'left_ankle',
    'pelvis',
    'thorax',
    'upper_neck',
    'head_top',
    'right_wrist',
    'right_elbow',
    'right_shoulder',
    'left_shoulder',
    'left_elbow',
    'left_wrist',
)
# those that the multi-person evaluation counts
MPII14 = tuple(name for name in MPII16 if name not in ('pelvis', 'thorax'))
# place of each of the 14 in the release's numbering
MPII14_IDS = np.array([MPII16.index(name) for name in MPII14])
JOINT_ORDERS = {14: MPII14, 16: MPII16}

# columns of the published tables, with the joints of each in MPII14
COLUMNS = {
    'Head': ('upper_neck', 'head_top'),
    'Shoulder': ('right_shoulder', 'left_shoulder'),
    'Elbow': ('right_elbow', 'left_elbow'),
    'Wrist': ('right_wrist', 'left_wrist'),
    'Hip': ('right_hip', 'left_hip'),
    'Knee': ('right_knee', 'left_knee'),
    'Ankle': ('right_ankle', 'left_ankle'),
}

# head boxes are wider than heads: the size is this share of the diagonal
HEAD_SIZE_FACTOR = 0.6


def evaluated_joints(values: np.ndarray) -> np.ndarray:
    """Leave the 14 joints of the evaluation.

    Args:
        values (np.ndarray): Shape (N, K) or (N, K, ...), K = 16 joints in
            the release's order or 14 in the same without pelvis and thorax.

    Returns:
        np.ndarray: Shape (N, 14) or (N, 14, ...).

    Raises:
        ValueError: If K is neither.
    """
    if values.shape[1] == len(MPII16):
        return values[:, MPII14_IDS]
    if values.shape[1] == len(MPII14):
        return values
    raise ValueError(
        f'poses of MPII have 16 joints, or 14 without pelvis and thorax, but '
        f'these have {values.shape[1]}'
    )


def head_size(head_bboxes_xyxy: np.ndarray) -> np.ndarray:
    """0.6 times the diagonal of head boxes, as MPII's toolkit has it.

    Args:
        head_bboxes_xyxy (np.ndarray): Shape (N, 4), in pixels.

    Returns:
        np.ndarray: Shape (N,), in pixels.
    """
    sides = head_bboxes_xyxy[:, 2:] - head_bboxes_xyxy[:, :2]
    return HEAD_SIZE_FACTOR * np.hypot(sides[:, 0], sides[:, 1])
