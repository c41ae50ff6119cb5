# Stage 2: SSTN and the parallel SPPE join the SPPE of stage 1.
_base_ = ['./pgpg_mobilenetv2_1xb16-4e_coco_mini-128x96.py']
load_from = 'work_dirs/pgpg_mobilenetv2_1xb16-4e_coco_mini-128x96/epoch_4.pth'

train_cfg = dict(max_epochs=1, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4), paramwise_cfg=_base_.rmpe.paramwise_cfg)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=1)]

model = dict(
    _delete_=True,
    type='ParallelSPPE',
    sppe=_base_.model,
    # so few people teach a localizer little: it starts as the SPPE's backbone
    localizer=dict(type='MobileNetV2', out_indices=(6, ), frozen_stages=2),
    localizer_from_backbone=True,
    localizer_size=(48, 64),
    sstn=dict(
        type='SSTNHead',
        in_channels=320,
        transform='scale_shift',
        pool_size=(2, 2)),
    parallel=dict(center_loss='paper'))

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='GenerateCenterTarget', encoder=_base_.codec, use_udp=True),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# redundant proposals are merged by the parametric pose NMS
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode=None, nms=_base_.rmpe.nms)
test_evaluator = val_evaluator
