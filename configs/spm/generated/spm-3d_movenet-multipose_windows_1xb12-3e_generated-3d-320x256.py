# SPM in 3D in windows around people, since most of a picture shows nobody: a step costs
# less and sees more of them. Depths have features of their own, and are read at the
# joints too.
# python tools/generate_dataset.py data/generated_3d --3d --num-train 24000 --size 320 256
_base_ = ['spm-3d_movenet-multipose_1xb8-6e_generated-3d-256x192.py']

# runtime
train_cfg = dict(max_epochs=3, val_interval=1)

# optimizer
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys={'neck.depths': dict(lr_mult=10)}))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=200),
    dict(_base_.param_scheduler[1], end=3),
]

# A whole picture as a test shows it, and the window that a training step sees
picture_size = (320, 256)
window_size = (192, 192)

# codec settings
codec = dict(
    _base_.codec,
    input_size=window_size,
    heatmap_size=(48, 48),
    depth_locations=('root', 'joint'))

# model settings
depth_channels = 96
model = dict(
    neck=dict(depth_channels=depth_channels),
    head=dict(
        in_channels=24 + depth_channels,
        stage=dict(depth_channels=depth_channels),
        depth_loss=dict(loss_weight=2),
        decoder=codec))

# pipelines
train_pipeline = [*_base_.train_pipeline]
train_pipeline[2] = dict(
    train_pipeline[2], input_size=window_size, picture_size=picture_size)
train_pipeline[4] = dict(train_pipeline[4], encoder=codec)
val_pipeline = [*_base_.val_pipeline]
val_pipeline[1] = dict(val_pipeline[1], input_size=picture_size)

# data loaders
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
