# SPM on the embedded data set, from the weights that ship with the package: they know
# people on photographs, not yet the drawn ones. An epoch takes about 50 seconds on one
# CPU core.
_base_ = ['../coco_mini/spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']
load_from = 'rmpe_spm://spm_movenet-multipose'

# runtime
train_cfg = dict(max_epochs=5, val_interval=5)

# optimizer
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='AdamW', lr=3e-4, weight_decay=0.01, fused=True))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=30),
    dict(_base_.param_scheduler[1], end=5),
]

# A whole picture as a test shows it, and the window that a training step sees
picture_size = (384, 288)
window_size = (192, 192)

# codec settings
codec = dict(
    _base_.codec,
    input_size=window_size,
    heatmap_size=(48, 48),
    sigma=3,
    background_weight=0.1)

# model settings
model = dict(
    head=dict(
        heatmap_loss=dict(type='MapL2Loss'),
        keypoint_loss=dict(type='MapL2Loss'),
        decoder=codec))

# base dataset settings
# the folder is given by the environment variable GENERATED
data_root = '{{$GENERATED:data/generated}}/'

# pipelines
train_pipeline = [
    dict(type='LoadImageOrSkip'),
    *_base_.train_pipeline[2:],
]
train_pipeline[2] = dict(
    train_pipeline[2],
    input_size=window_size,
    picture_size=picture_size,
    scale_factor=(0.75, 1.25))
train_pipeline[3] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = [
    _base_.val_pipeline[0],
    dict(_base_.val_pipeline[1], input_size=picture_size),
    _base_.val_pipeline[2],
]

# data loaders
train_dataloader = dict(
    batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
