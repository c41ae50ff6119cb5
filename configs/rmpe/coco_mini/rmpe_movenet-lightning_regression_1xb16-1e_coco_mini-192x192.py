# Stage 2 alone: a localizer and SSTN learn in front of the trained SPPE, which is
# frozen and need not be computed. Theta is regressed from a shallow map of several
# cells that sees 1.6 times the crop.
_base_ = [
    './td-hm_movenet-lightning_1xb16-10e_coco_mini-192x192.py',
    '../_base_/rmpe.py',
]
load_from = 'work_dirs/td-hm_movenet-lightning_1xb16-10e_coco_mini-192x192/epoch_10.pth'

# runtime
train_cfg = dict(max_epochs=1, val_interval=1)

# optimizer
optim_wrapper = dict(
    optimizer=dict(lr=3e-4), paramwise_cfg=_base_.rmpe.paramwise_cfg)

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=1),
]

# the localizer's last layers are not used
find_unused_parameters = True

# model settings
context = 1.6
model = dict(
    _delete_=True,
    type='ParallelSPPE',
    sppe=_base_.model,
    freeze_sppe=True,
    context=context,
    localizer=dict(
        type='TFMobileNetV2',
        widen_factor=1.0,
        out_indices=(4, ),
        frozen_stages=2),
    localizer_from_backbone=True,
    localizer_size=(112, 112),
    sstn=dict(
        type='SSTNHead',
        in_channels=96,
        pool_size=(7, 7),
        transform='scale_shift',
        detach_theta=True,
        theta_loss=dict(type='ThetaCornerLoss'),
        dead_zone=0.25))

# pipelines: boxes that are off by up to a factor of two, and a half as they are
crop = dict(
    type='TopdownContextAffine',
    input_size=_base_.codec.input_size,
    use_udp=True,
    context=context)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='PGPGTransform',
        mode='jitter',
        jitter_range=0.4,
        min_iou=0.3,
        prob=0.5),
    *_base_.train_pipeline[2:4],
    dict(
        type='RandomBBoxTransform',
        shift_factor=0.2,
        shift_prob=0.5,
        scale_factor=(0.5, 2.0),
        scale_prob=0.5,
        rotate_factor=30,
        rotate_prob=0.3),
    crop,
    _base_.train_pipeline[6],
    dict(type='GenerateCenterTarget', encoder=_base_.codec, use_udp=True),
    _base_.train_pipeline[-1],
]
val_pipeline = [*_base_.val_pipeline[:2], crop, _base_.val_pipeline[-1]]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
