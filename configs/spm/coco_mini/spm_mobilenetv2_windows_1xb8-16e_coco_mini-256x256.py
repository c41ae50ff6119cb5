# SPM trained on windows around people, tested on whole pictures of 256x256: a step
# costs a quarter of one on whole pictures. Ordinary convolutions in the head.
_base_ = ['mmpose::_base_/default_runtime.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)

# runtime
train_cfg = dict(max_epochs=16, val_interval=2)
randomness = dict(seed=0)

# optimizer
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.01, fused=True))

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=16,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True),
]

# hooks
default_hooks = dict(
    checkpoint=dict(
        type='SafeCheckpointHook', interval=1, max_keep_ckpts=1),
    logger=dict(interval=20))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='ChannelsLastHook'),
    dict(type='FuseConvBNHook'),
]
# the backbone's last layer, which feeds its classifier, is not used
find_unused_parameters = True

# A whole picture as a test shows it, and the window that a training step sees. It
# shows the picture larger: its people are to be as large as the window, whatever
# their size in the picture, as the multi-scale test reads them.
picture_size = (256, 256)
largest_size = (512, 512)
window_size = (128, 128)

# codec settings: on a small map people are few cells apart, so the radii are
# smaller than the paper's, and cells in several windows belong to the nearest
# root. A displacement is read at the joint's parent, or nearest labelled ancestor, and
# joints snap to the peaks of their heatmaps
windows_codec = dict(
    type='HierarchicalSPRCodec',
    input_size=window_size,
    heatmap_size=(32, 32),
    kinematics='coco',
    sigma=3,
    tau=3,
    overlap='nearest',
    displacement_location='parent',
    missing_parent='ancestor',
    generate_keypoint_heatmaps=True,
    keypoint_sigma=1.5,
    # as in DEKR; with 1 the few cells of a peak hardly count in so few steps
    background_weight=0.1)
codec = windows_codec

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
    # a light pyramid: the levels are added in the head
    neck=dict(
        type='ChannelMapper',
        in_channels=[24, 32, 96, 320],
        out_channels=64,
        kernel_size=1,
        norm_cfg=dict(type='BN'),
        act_cfg=None),
    head=dict(
        type='SPMHead',
        in_channels=64,
        in_index=(0, 1, 2, 3),
        num_keypoints=17,
        keypoint_heatmaps=True,
        heatmap_head=dict(num_convs=1, channels=32, kernel_size=3),
        displacement_head=dict(num_convs=2, channels=64, kernel_size=3),
        # more than the paper's: in few steps the root map would take it all
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
# the folder is given by the environment variable COCO_MINI or by
# --cfg-options data_root=... on the command line
data_root = '{{$COCO_MINI:data/coco_mini}}/'

# pipelines
train_pipeline = [
    # bad samples are logged and left out
    dict(type='LoadImageOrSkip'),
    dict(type='SanitizeInstances'),
    # before the window, which puts the crowds' mask right
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='BottomupInstanceAffine',
        input_size=window_size,
        picture_size=largest_size,
        scale_factor=(0.8, 1.5),
        rotate_prob=0.0),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='BottomupGetCrowdMask'),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImageOrSkip'),
    dict(
        type='BottomupResize',
        input_size=picture_size,
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
    batch_size=8,
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
    batch_size=16,
    num_workers=2,
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
