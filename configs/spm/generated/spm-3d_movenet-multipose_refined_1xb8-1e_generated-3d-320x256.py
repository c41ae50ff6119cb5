# The refiner of the depths alone, on the trained network, every fourth picture:
_base_ = ['spm-3d_movenet-multipose_wide_1xb8-1e_generated-3d-320x256.py']
load_from = 'work_dirs/spm-3d_movenet-multipose_wide_1xb8-1e_generated-3d-320x256/epoch_1.pth'

# optimizer
frozen = dict(lr_mult=0)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(
        custom_keys={
            '_delete_': True,
            'backbone': frozen,
            'neck': frozen,
            'stages': frozen,
        }))

# learning policy: a lowest rate would be that of the frozen weights too
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], eta_min=0),
]

# model settings
model = dict(
    backbone=dict(frozen_stages=7),
    head=dict(depth_refiner=dict(type='DepthRefiner')),
    train_cfg={
        key: _base_.model.test_cfg[key]
        for key in ('snap_thr', 'snap_distance', 'snap_to')
    })

# data loaders
train_dataloader = dict(dataset=dict(frame_interval=4))
