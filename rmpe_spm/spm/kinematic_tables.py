"""The kinematic trees of the usual data sets, as (joint, parent) by name.

Joints come in the data set's order. The levels follow the paper: neck,
shoulders and hips below the root, then head, elbows and knees, then wrists
and ankles; where a data set has faces, eyes hang on the nose and ears on the
eyes.
"""

ROOT = 'root'
_COCO = (
    ('nose', ROOT),
    ('left_eye', 'nose'),
    ('right_eye', 'nose'),
    ('left_ear', 'left_eye'),
    ('right_ear', 'right_eye'),
    ('left_shoulder', ROOT),
    ('right_shoulder', ROOT),
    ('left_elbow', 'left_shoulder'),
    ('right_elbow', 'right_shoulder'),
    ('left_wrist', 'left_elbow'),
    ('right_wrist', 'right_elbow'),
    ('left_hip', ROOT),
    ('right_hip', ROOT),
    ('left_knee', 'left_hip'),
    ('right_knee', 'right_hip'),
    ('left_ankle', 'left_knee'),
    ('right_ankle', 'right_knee'),
)
_CROWDPOSE = (
    ('left_shoulder', ROOT),
    ('right_shoulder', ROOT),
    ('left_elbow', 'left_shoulder'),
    ('right_elbow', 'right_shoulder'),
    ('left_wrist', 'left_elbow'),
    ('right_wrist', 'right_elbow'),
    ('left_hip', ROOT),
    ('right_hip', ROOT),
    ('left_knee', 'left_hip'),
    ('right_knee', 'right_hip'),
    ('left_ankle', 'left_knee'),
    ('right_ankle', 'right_knee'),
    ('top_head', 'neck'),
    ('neck', ROOT),
)
_MPII = (
    ('right_ankle', 'right_knee'),
    ('right_knee', 'right_hip'),
    ('right_hip', ROOT),
    ('left_hip', ROOT),
    ('left_knee', 'left_hip'),
    ('left_ankle', 'left_knee'),
    ('pelvis', ROOT),
    ('thorax', ROOT),
    ('upper_neck', ROOT),
    ('head_top', 'upper_neck'),
    ('right_wrist', 'right_elbow'),
    ('right_elbow', 'right_shoulder'),
    ('right_shoulder', ROOT),
    ('left_shoulder', ROOT),
    ('left_elbow', 'left_shoulder'),
    ('left_wrist', 'left_elbow'),
)
_AIC = (
    ('right_shoulder', ROOT),
    ('right_elbow', 'right_shoulder'),
    ('right_wrist', 'right_elbow'),
    ('left_shoulder', ROOT),
    ('left_elbow', 'left_shoulder'),
    ('left_wrist', 'left_elbow'),
    ('right_hip', ROOT),
    ('right_knee', 'right_hip'),
    ('right_ankle', 'right_knee'),
    ('left_hip', ROOT),
    ('left_knee', 'left_hip'),
    ('left_ankle', 'left_knee'),
    ('head_top', 'neck'),
    ('neck', ROOT),
)
_POSETRACK18 = (
    ('nose', 'head_bottom'),
    ('head_bottom', ROOT),
    ('head_top', 'head_bottom'),
    ('left_ear', 'nose'),
    ('right_ear', 'nose'),
    ('left_shoulder', ROOT),
    ('right_shoulder', ROOT),
    ('left_elbow', 'left_shoulder'),
    ('right_elbow', 'right_shoulder'),
    ('left_wrist', 'left_elbow'),
    ('right_wrist', 'right_elbow'),
    ('left_hip', ROOT),
    ('right_hip', ROOT),
    ('left_knee', 'left_hip'),
    ('right_knee', 'right_hip'),
    ('left_ankle', 'left_knee'),
    ('right_ankle', 'right_knee'),
)
_PANOPTIC = (
    ('neck', ROOT),
    ('nose', 'neck'),
    ('mid_hip', ROOT),
    ('left_shoulder', ROOT),
    ('left_elbow', 'left_shoulder'),
    ('left_wrist', 'left_elbow'),
    ('left_hip', ROOT),
    ('left_knee', 'left_hip'),
    ('left_ankle', 'left_knee'),
    ('right_shoulder', ROOT),
    ('right_elbow', 'right_shoulder'),
    ('right_wrist', 'right_elbow'),
    ('right_hip', ROOT),
    ('right_knee', 'right_hip'),
    ('right_ankle', 'right_knee'),
    ('left_eye', 'nose'),
    ('left_ear', 'left_eye'),
    ('right_eye', 'nose'),
    ('right_ear', 'right_eye'),
)

# the 14 joints that the MPII multi-person evaluation counts
_MPII14 = tuple(pair for pair in _MPII if pair[0] not in ('pelvis', 'thorax'))
NAMED_TREES = {
    'coco': _COCO,
    'crowdpose': _CROWDPOSE,
    'mpii': _MPII,
    'mpii14': _MPII14,
    'aic': _AIC,
    'posetrack18': _POSETRACK18,
    'panoptic': _PANOPTIC,
}
ALIASES = {
    'coco17': 'coco',
    'crowdpose14': 'crowdpose',
    'mpii16': 'mpii',
    'aic14': 'aic',
    'panoptic19': 'panoptic',
}
