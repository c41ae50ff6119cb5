# Depths from features of their own, after the first epoch at this size:
_base_ = ['spm-3d_movenet-multipose_1xb8-1e_generated-3d-320x256.py']
load_from = 'work_dirs/spm-3d_movenet-multipose_1xb8-1e_generated-3d-320x256/epoch_1.pth'

# optimizer
optim_wrapper = dict(
    optimizer=dict(lr=3e-4),
    paramwise_cfg=dict(custom_keys={'neck.depths': dict(lr_mult=10)}))

# model settings
depth_channels = 96
model = dict(
    neck=dict(depth_channels=depth_channels),
    head=dict(
        in_channels=24 + depth_channels,
        stage=dict(depth_channels=depth_channels)))
