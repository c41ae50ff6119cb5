# The plain bottom-up counterpart of spm_mobilenetv2_1xb16-20e_coco_mini-256x256:
# mmpose's DEKR with the same backbone, data, input, schedule and augmentation.
_base_ = ['mmpose::_base_/default_runtime.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)

# runtime
train_cfg = dict(max_epochs=20, val_interval=2)
randomness = dict(seed=0)

# optimizer
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=20,
        eta_min=1e-6,
        by_epoch=True,
        convert_to_iter_based=True),
]

# hooks
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1),
    logger=dict(interval=50))
# mmcv's deformable convolution takes 5 s a picture on a CPU core, 50 times
# SPM's step: train this one on a GPU, or the one on windows
# no ChannelsLastHook: mmcv's deformable convolution refuses that format
custom_hooks = [dict(type='SyncBuffersHook'), dict(type='ReuseMemoryHook')]
# the backbone's last layer, which feeds its classifier, is not used
find_unused_parameters = True

# codec settings: sigma as in mmpose's DEKR for COCO, scaled to the grid
codec = dict(
    type='SPR',
    input_size=(256, 256),
    heatmap_size=(64, 64),
    sigma=(2, 1),
    minimal_diagonal_length=8**0.5,
    generate_keypoint_heatmaps=True,
    decode_max_instances=30)

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
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),
        # no gradients for what is computed at a half and a quarter of the
        # input's size, which would be half of the time on a CPU
        frozen_stages=2,
        # ImageNet weights: tools/prepare_backbone.py writes this file
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/mobilenet_v2.pth')),
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(
        type='DEKRHead',
        in_channels=472,
        num_keypoints=17,
        heatmap_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        displacement_loss=dict(
            type='SoftWeightSmoothL1Loss',
            use_target_weight=True,
            supervise_empty=False,
            beta=1 / 9,
            loss_weight=0.002),
        decoder=codec),
    test_cfg=dict(
        multiscale_test=False,
        flip_test=True,
        nms_dist_thr=0.05,
        shift_heatmap=True,
        align_corners=False))

# base dataset settings
dataset_type = 'CocoDataset'
data_mode = 'bottomup'
# the folder is given by the environment variable COCO_MINI or by
# --cfg-options data_root=... on the command line
data_root = '{{$COCO_MINI:data/coco_mini/}}'

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
        type='BottomupResize',
        input_size=codec['input_size'],
        size_factor=32,
        resize_mode='fit'),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'crowd_index', 'ori_shape',
                   'img_shape', 'input_size', 'input_center', 'input_scale',
                   'flip', 'flip_direction', 'flip_indices', 'raw_ann_info',
                   'skeleton_links')),
]

# data loaders
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
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
    type='CocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    nms_mode='none',
    score_mode='keypoint')
test_evaluator = val_evaluator
