# SPM's heads learn from scratch on MoveNet's features, which hardly change: an epoch
# takes two minutes on one CPU core. Windows of 128x128 around people.
_base_ = ['./spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']
load_from = None

# runtime
train_cfg = dict(max_epochs=1)

# optimizer: the backbone is frozen; the schedule leads the neck to its eta_min
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01, fused=True),
    paramwise_cfg=dict(
        custom_keys=dict(backbone=dict(lr_mult=0), neck=dict(lr_mult=0))))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=1),
]

# A whole picture as a test shows it, and the window that a training step sees
picture_size = (256, 256)
window_size = (128, 128)

# codec settings
codec = dict(_base_.codec, input_size=window_size, heatmap_size=(32, 32))

# model settings
weights = dict(
    type='Pretrained', checkpoint='data/pretrained/movenet-multipose_coco.pth')
model = dict(
    backbone=dict(frozen_stages=7, init_cfg=dict(weights, prefix='backbone.')),
    neck=dict(init_cfg=dict(weights, prefix='neck.')),
    head=dict(decoder=codec),
    test_cfg=dict(nms_dist_thr=0.05))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(
    train_pipeline[3], input_size=window_size, picture_size=picture_size)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(_base_.val_pipeline[1], input_size=picture_size)

# data loaders
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
