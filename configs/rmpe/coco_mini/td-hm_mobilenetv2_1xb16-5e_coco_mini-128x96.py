# The plain two-step counterpart of pgpg_mobilenetv2_1xb16-4e and then
# rmpe_mobilenetv2_1xb16-1e: the same SPPE and number of epochs without PGPG,
# SSTN, parallel SPPE and pose NMS.
_base_ = ['mmpose::_base_/default_runtime.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)

# runtime
train_cfg = dict(max_epochs=5, val_interval=1)
randomness = dict(seed=0)

# optimizer
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.01))

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=5,
        eta_min=1e-6,
        by_epoch=True,
        convert_to_iter_based=True),
]

# hooks
default_hooks = dict(
    checkpoint=dict(
        type='SafeCheckpointHook', interval=1, max_keep_ckpts=1),
    logger=dict(interval=50))
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='ChannelsLastHook'),
    dict(type='FuseConvBNHook'),
]
# the backbone's last layer, which feeds its classifier, is not used
find_unused_parameters = True

# codec settings: mmpose's blur before a peak is refined, 11 cells, suits sigma=2
codec = dict(
    type='UDPHeatmap',
    input_size=(96, 128),
    heatmap_size=(24, 32),
    sigma=1,
    blur_kernel_size=3)

# model settings
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
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
    # all levels teach where joints are in fewer steps
    neck=dict(
        type='LateralSum', in_channels=[24, 32, 96, 320], out_channels=64),
    head=dict(
        type='HeatmapHead',
        in_channels=64,
        out_channels=17,
        deconv_out_channels=None,
        conv_out_channels=(64, ),
        conv_kernel_sizes=(3, ),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))

# base dataset settings
dataset_type = 'CocoDataset'
data_mode = 'topdown'
# the folder is given by the environment variable COCO_MINI or by
# --cfg-options data_root=... on the command line
data_root = '{{$COCO_MINI:data/coco_mini}}/'

# pipelines
train_pipeline = [
    # bad samples are logged and left out
    dict(type='LoadImageOrSkip'),
    dict(type='SanitizeInstances'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        scale_factor=(0.75, 1.25),
        rotate_factor=30),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImageOrSkip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs'),
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
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file=data_root + 'detections/yolox_nano_val2017.json',
        data_prefix=dict(img='val2017/'),
        filter_cfg=dict(bbox_score_thr=0.05),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(
    type='PoseNMSCocoMetric',
    nms_mode='oks_nms',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
