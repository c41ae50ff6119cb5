# The localizer is a pose network, here of the SPPE's kind, whose joints theta frames:
# it starts with the SPPE's weights, and works without a training, too.
_base_ = ['./rmpe_movenet-lightning_regression_1xb16-1e_coco_mini-192x192.py']

# optimizer: trained weights
optim_wrapper = dict(
    optimizer=dict(lr=1e-4), paramwise_cfg=dict(_delete_=True))

find_unused_parameters = False

# model settings
model = dict(
    localizer=dict(
        _delete_=True,
        type='PoseLocalizer',
        backbone=_base_.model.sppe.backbone,
        neck=_base_.model.sppe.neck,
        head=_base_.model.sppe.head),
    # smaller people than it was trained on are not found
    localizer_size=(160, 160),
    sstn=dict(in_channels=None, dead_zone=0.0))
