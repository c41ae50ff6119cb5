# Stage 2 of the ablation: SSTN with room to look around, and the parallel SPPE,
# join the SPPE of stage 1.
_base_ = ['./pgpg_movenet-lightning_1xb16-1e_coco_mini-192x192.py']
load_from = 'work_dirs/pgpg_movenet-lightning_1xb16-1e_coco_mini-192x192/epoch_1.pth'

# optimizer: the localizer learns faster than an SPPE that is already trained
optim_wrapper = dict(
    optimizer=dict(lr=5e-5),
    paramwise_cfg=dict(
        custom_keys=dict(localizer=dict(lr_mult=3), sstn=dict(lr_mult=1))))

# the localizer's last layers are not used
find_unused_parameters = True

# model settings
context = 1.6
model = dict(
    _delete_=True,
    type='ParallelSPPE',
    sppe=_base_.model,
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
        dead_zone=0.25),
    parallel=dict())

# pipelines
crop = dict(
    type='TopdownContextAffine',
    input_size=_base_.codec.input_size,
    use_udp=True,
    context=context)
train_pipeline = [
    *_base_.train_pipeline[:6],
    crop,
    _base_.train_pipeline[7],
    dict(type='GenerateCenterTarget', encoder=_base_.codec, use_udp=True),
    _base_.train_pipeline[-1],
]
val_pipeline = [*_base_.val_pipeline[:2], crop, _base_.val_pipeline[-1]]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

# redundant proposals are merged by the parametric pose NMS
val_evaluator = dict(
    type='PoseNMSCocoMetric', nms_mode=None, nms=_base_.rmpe.nms)
test_evaluator = val_evaluator
