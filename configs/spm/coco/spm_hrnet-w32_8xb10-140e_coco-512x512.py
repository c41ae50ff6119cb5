# SPM on COCO with HRNet-W32 and DEKR's schedule, in the form that learns quickest: each
# displacement is read at the joint's parent, a joint without one starts from its nearest
# labelled ancestor, and joints snap to the peaks of their heatmaps.
_base_ = ['mmpose::_base_/default_runtime.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)

# runtime
train_cfg = dict(max_epochs=140, val_interval=10)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(
        type='MultiStepLR', begin=0, end=140, milestones=[90, 120], gamma=0.1,
        by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=80)
default_hooks = dict(
    checkpoint=dict(
        type='SafeCheckpointHook', save_best='coco/AP', rule='greater'))

# codec settings
codec = dict(
    type='HierarchicalSPRCodec',
    input_size=(512, 512),
    heatmap_size=(128, 128),
    kinematics='coco',
    sigma=7,
    tau=7,
    displacement_location='parent',
    missing_parent='ancestor',
    generate_keypoint_heatmaps=True,
    keypoint_sigma=3)

# model settings
model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=dict(
        type='StrictPoseDataPreprocessor',
        size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='HRNet',
        in_channels=3,
        extra=dict(
            stage1=dict(
                num_modules=1, num_branches=1, block='BOTTLENECK',
                num_blocks=(4, ), num_channels=(64, )),
            stage2=dict(
                num_modules=1, num_branches=2, block='BASIC',
                num_blocks=(4, 4), num_channels=(32, 64)),
            stage3=dict(
                num_modules=4, num_branches=3, block='BASIC',
                num_blocks=(4, 4, 4), num_channels=(32, 64, 128)),
            stage4=dict(
                num_modules=3, num_branches=4, block='BASIC',
                num_blocks=(4, 4, 4, 4), num_channels=(32, 64, 128, 256),
                multiscale_output=True)),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrnet_w32-36af842e.pth')),
    # a light pyramid: the levels are added in the head
    neck=dict(
        type='ChannelMapper',
        in_channels=[32, 64, 128, 256],
        out_channels=128,
        kernel_size=1,
        norm_cfg=dict(type='BN'),
        act_cfg=None),
    head=dict(
        type='SPMHead',
        in_channels=128,
        in_index=(0, 1, 2, 3),
        num_keypoints=17,
        keypoint_heatmaps=True,
        heatmap_head=dict(num_convs=1, channels=32, kernel_size=3),
        displacement_head=dict(num_convs=2, channels=64, kernel_size=3),
        # more than the paper's 0.01, with which the heatmaps would take it all
        beta=0.5,
        decoder=codec),
    test_cfg=dict(
        flip_test=True,
        nms_dist_thr=0.05,
        max_num_people=30,
        snap_thr=0.1,
        snap_distance=0.15))

# base dataset settings
dataset_type = 'CocoDataset'
data_mode = 'bottomup'
data_root = 'data/coco/'

# pipelines
train_pipeline = [
    # bad samples are logged and left out
    dict(type='LoadImageOrSkip'),
    dict(type='SanitizeInstances'),
    dict(type='BottomupRandomAffine', input_size=codec['input_size']),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='BottomupGetCrowdMask'),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImageOrSkip'),
    dict(
        type='BottomupResize', input_size=codec['input_size'], size_factor=32,
        resize_mode='expand'),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'crowd_index', 'ori_shape',
                   'img_shape', 'input_size', 'input_center', 'input_scale',
                   'flip', 'flip_direction', 'flip_indices', 'raw_ann_info',
                   'skeleton_links')),
]

# data loaders
train_dataloader = dict(
    batch_size=10,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(
    type='PoseNMSCocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    nms_mode='none',
    score_mode='keypoint')
test_evaluator = val_evaluator
