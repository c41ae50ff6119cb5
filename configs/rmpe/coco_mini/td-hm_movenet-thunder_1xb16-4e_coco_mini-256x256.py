# The SPPE from MoveNet's thunder network: wider, and larger crops.
_base_ = ['./td-hm_movenet-lightning_1xb16-10e_coco_mini-192x192.py']

# runtime
train_cfg = dict(max_epochs=4)

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=4),
]

# codec settings
codec = dict(
    _base_.codec, input_size=(256, 256), heatmap_size=(64, 64), sigma=2,
    blur_kernel_size=11)

# model settings
weights = dict(
    type='Pretrained', checkpoint='data/pretrained/movenet-thunder.pth')
model = dict(
    backbone=dict(
        widen_factor=1.75, init_cfg=dict(weights, prefix='backbone.')),
    neck=dict(
        in_channels=[40, 56, 112, 1280],
        init_cfg=dict(weights, prefix='neck.')),
    head=dict(
        decoder=codec, init_cfg=dict(weights, prefix='head.stages.0.')))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[5] = dict(_base_.train_pipeline[5], input_size=codec['input_size'])
train_pipeline[6] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[2] = train_pipeline[5]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
