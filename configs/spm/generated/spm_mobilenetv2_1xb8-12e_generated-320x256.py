# SPM on the embedded data set: the network and the windows of the photographs'
# config. An epoch takes about 80 seconds on one CPU core.
_base_ = [
    '../coco_mini/spm_mobilenetv2_windows_1xb8-16e_coco_mini-256x256.py'
]

# runtime
train_cfg = dict(max_epochs=12, val_interval=12)

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=12),
]

# A whole picture as a test shows it, and the size that windows are cut from.
picture_size = (320, 256)
largest_size = (640, 512)

# base dataset settings
# the folder is given by the environment variable GENERATED
data_root = '{{$GENERATED:data/generated}}/'

# pipelines
train_pipeline = [
    dict(type='LoadImageOrSkip'),
    *_base_.train_pipeline[2:],
]
train_pipeline[2] = dict(train_pipeline[2], picture_size=largest_size)
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
