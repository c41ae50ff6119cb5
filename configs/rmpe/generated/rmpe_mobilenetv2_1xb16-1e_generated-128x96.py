# Stage 2: SSTN and the parallel SPPE join the SPPE of stage 1.
_base_ = ['./pgpg_mobilenetv2_1xb16-8e_generated-128x96.py']
load_from = 'work_dirs/pgpg_mobilenetv2_1xb16-8e_generated-128x96/epoch_8.pth'

# runtime
train_cfg = dict(max_epochs=1, val_interval=1)

# optimizer: the localizer and theta start from nothing, the SPPE does not
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(custom_keys={'sstn': dict(lr_mult=0.2)}))

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=20, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=1,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True),
]

# model settings
model = dict(
    _delete_=True,
    type='ParallelSPPE',
    sppe=_base_.model,
    # in so few steps a localizer learns little: it starts as the SPPE's backbone
    localizer=dict(type='MobileNetV2', out_indices=(6, ), frozen_stages=2),
    localizer_from_backbone=True,
    localizer_size=(48, 64),
    sstn=dict(
        type='SSTNHead',
        in_channels=320,
        transform='scale_shift',
        pool_size=(2, 2)),
    parallel=dict(center_loss='paper'))

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
