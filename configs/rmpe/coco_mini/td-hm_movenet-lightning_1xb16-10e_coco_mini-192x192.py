# The SPPE from MoveNet's lightning network, which has seen people: it starts with the
# joint heatmaps of tools/import_movenet.py.
_base_ = ['./td-hm_mobilenetv2_1xb16-5e_coco_mini-128x96.py']

# runtime
train_cfg = dict(max_epochs=10)

# optimizer: trained weights without normalisation
optim_wrapper = dict(
    type='BFloat16OptimWrapper', optimizer=dict(lr=1e-4))

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=10),
]
find_unused_parameters = False

# codec settings
codec = dict(
    type='UDPHeatmap',
    input_size=(192, 192),
    heatmap_size=(48, 48),
    sigma=1.5,
    blur_kernel_size=5)

# model settings
weights = dict(
    type='Pretrained', checkpoint='data/pretrained/movenet-lightning.pth')
model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TFMobileNetV2',
        widen_factor=1.0,
        # no gradients for what is computed at a half and a quarter of the
        # input's size, which would be half of the time on a CPU
        frozen_stages=2,
        init_cfg=dict(weights, prefix='backbone.')),
    neck=dict(
        _delete_=True,
        type='MoveNetFPN',
        in_channels=[24, 32, 64, 1280],
        init_cfg=dict(weights, prefix='neck.')),
    head=dict(
        _delete_=True,
        type='MoveNetHeatmapHead',
        in_channels=24,
        out_channels=17,
        decoder=codec,
        init_cfg=dict(weights, prefix='head.stages.0.')))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[5] = dict(
    type='TopdownAffine', input_size=codec['input_size'], use_udp=True)
train_pipeline[6] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[2] = train_pipeline[5]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
