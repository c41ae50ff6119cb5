# Stage 1 of the paper's schedule on the embedded data set: the SPPE that ships with
# the package, trained on proposals drawn by PGPG. An epoch takes about a minute on
# one CPU core.
_base_ = [
    '../coco_mini/td-hm_movenet-lightning_1xb16-10e_coco_mini-192x192.py'
]
load_from = 'rmpe_spm://td-hm_movenet-lightning'

# runtime
train_cfg = dict(max_epochs=4, val_interval=4)

# optimizer
optim_wrapper = dict(optimizer=dict(lr=3e-4, fused=True))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=30),
    dict(_base_.param_scheduler[1], end=4),
]

# hooks
default_hooks = dict(logger=dict(interval=20))

# model settings: all weights come from load_from
model = dict(
    backbone=dict(init_cfg=None),
    neck=dict(init_cfg=None),
    head=dict(init_cfg=None))

# base dataset settings
# the folder is given by the environment variable GENERATED
data_root = '{{$GENERATED:data/generated}}/'

# pipelines
train_pipeline = [
    dict(type='LoadImageOrSkip'),
    dict(type='PGPGTransform', mode='global_gaussian'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        shift_prob=0.0,
        scale_factor=(0.85, 1.15),
        rotate_prob=0.0),
    *_base_.train_pipeline[5:],
]

# data loaders
train_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        bbox_file=data_root + 'detections/val2017_person_detections.json',
        # all of them
        filter_cfg=None))
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    keypoint_score_thr=0.0)
test_evaluator = val_evaluator
