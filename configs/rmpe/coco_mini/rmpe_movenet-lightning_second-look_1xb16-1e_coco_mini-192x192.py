# The SPPE is its own localizer: it looks at the reduced crop, and again at what the STN
# cuts out. It needs no training; this one lets the SPPE see what it will see.
_base_ = ['./rmpe_movenet-lightning_pose_1xb16-1e_coco_mini-192x192.py']

# model settings
model = dict(
    freeze_sppe=False,
    localizer=dict(_delete_=True, type='SecondLook'),
    localizer_from_backbone=False,
    sstn=dict(theta_loss=None))
