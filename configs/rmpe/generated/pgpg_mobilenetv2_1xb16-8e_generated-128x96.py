# Stage 1 of the paper's schedule on the embedded data set: the plain SPPE of the
# photographs' config, trained on proposals drawn by PGPG. An epoch takes about two
# minutes on one CPU core. The head reads all levels of the backbone, which teaches
# it where joints are in far fewer steps than the last level alone.
_base_ = ['../coco_mini/td-hm_mobilenetv2_1xb16-5e_coco_mini-128x96.py']

# runtime
train_cfg = dict(max_epochs=8, val_interval=8)

# optimizer
optim_wrapper = dict(optimizer=dict(fused=True))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=8, eta_min=1e-5),
]

# hooks
default_hooks = dict(logger=dict(interval=20))

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
    dict(type='TopdownAffine', input_size=_base_.codec.input_size, use_udp=True),
    dict(type='GenerateTarget', encoder=_base_.codec),
    dict(type='PackPoseInputs'),
]

# data loaders
train_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=2,
    dataset=dict(
        data_root=data_root,
        bbox_file=data_root + 'detections/val2017_person_detections.json',
        # all of them
        filter_cfg=None))
test_dataloader = val_dataloader

# evaluators: after minutes of training peaks are low, so all of them count in a
# person's score
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    keypoint_score_thr=0.0)
test_evaluator = val_evaluator
