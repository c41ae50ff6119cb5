# Stage 2: a localizer and SSTN learn in front of the SPPE of stage 1, which is frozen
# and need not be computed. An epoch takes half a minute on one CPU core.
_base_ = ['./pgpg_movenet-lightning_1xb16-4e_generated-192x192.py']
load_from = 'work_dirs/pgpg_movenet-lightning_1xb16-4e_generated-192x192/epoch_4.pth'

# runtime
train_cfg = dict(max_epochs=1, val_interval=1)

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=20),
    dict(_base_.param_scheduler[1], end=1),
]
# the localizer's last layers are not used
find_unused_parameters = True

# model settings
model = dict(
    _delete_=True,
    type='ParallelSPPE',
    sppe=_base_.model,
    freeze_sppe=True,
    # in so few steps a localizer learns little: it starts as the SPPE's backbone
    localizer=dict(
        type='TFMobileNetV2',
        widen_factor=1.0,
        out_indices=(4, ),
        frozen_stages=2),
    localizer_from_backbone=True,
    localizer_size=(96, 96),
    sstn=dict(
        type='SSTNHead',
        in_channels=96,
        pool_size=(6, 6),
        transform='scale_shift',
        detach_theta=True,
        theta_loss=dict(type='ThetaCornerLoss')))

# pipelines: the target in the frame of the clean box
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='GenerateCenterTarget', encoder=_base_.codec, use_udp=True),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# evaluators: redundant proposals are merged by the parametric pose NMS
val_evaluator = dict(
    _delete_=True,
    type='PoseNMSCocoMetric',
    ann_file=_base_.val_evaluator.ann_file,
    keypoint_score_thr=_base_.val_evaluator.keypoint_score_thr,
    nms=dict(type='ParametricPoseNMS', preset='learned'))
test_evaluator = val_evaluator
