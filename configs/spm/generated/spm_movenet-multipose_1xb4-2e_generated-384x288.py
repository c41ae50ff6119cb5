# SPM on the embedded data set, from the weights that ship with the package: they know
# people on photographs, not yet the drawn ones. An epoch takes about two and a half
# minutes on one CPU core.
_base_ = ['../coco_mini/spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']
load_from = 'rmpe_spm://spm_movenet-multipose'

# runtime
train_cfg = dict(max_epochs=2, val_interval=2)

# optimizer
optim_wrapper = dict(optimizer=dict(lr=1e-3))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=30),
    dict(_base_.param_scheduler[1], end=2),
]

picture_size = (384, 288)

# codec settings
codec = dict(_base_.codec, input_size=picture_size, heatmap_size=(96, 72))

# model settings
model = dict(head=dict(decoder=codec))

# base dataset settings
# the folder is given by the environment variable GENERATED
data_root = '{{$GENERATED:data/generated}}/'

# pipelines
train_pipeline = [
    dict(type='LoadImageOrSkip'),
    *_base_.train_pipeline[2:],
]
train_pipeline[2] = dict(
    train_pipeline[2], input_size=picture_size, picture_size=picture_size)
train_pipeline[3] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = [
    _base_.val_pipeline[0],
    dict(_base_.val_pipeline[1], input_size=picture_size),
    _base_.val_pipeline[2],
]

# data loaders
train_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
