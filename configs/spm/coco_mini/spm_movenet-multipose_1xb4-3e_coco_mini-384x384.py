# SPM from MoveNet's multipose network, trained and tested on whole pictures of 384x384;
# in smaller windows the large people of a picture would be seen in parts only. It
# starts with the poses that MoveNet finds:
# tools/import_movenet.py multipose --kinematics coco
_base_ = ['./spm_mobilenetv2_windows_1xb8-16e_coco_mini-256x256.py']
load_from = 'data/pretrained/movenet-multipose_coco.pth'

# runtime
train_cfg = dict(max_epochs=3, val_interval=1)

# optimizer: trained weights without normalisation
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(
        _delete_=True, type='RelativeAdamW', lr=5e-4, weight_decay=0))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=200),
    dict(_base_.param_scheduler[1], end=3),
]
find_unused_parameters = False

picture_size = (384, 384)

# codec settings: MoveNet's root is the centre of a person's box, its vectors are cells
codec = dict(
    type='HierarchicalSPRCodec',
    input_size=picture_size,
    heatmap_size=(96, 96),
    kinematics='coco',
    sigma=2,
    tau=3,
    overlap='nearest',
    root_type='bbox_center',
    displacement_location='root',
    normalizer=None,
    generate_keypoint_heatmaps=True,
    keypoint_sigma=1.5,
    generate_keypoint_offsets=True,
    background_weight=1)

# model settings
model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TFMobileNetV2',
        widen_factor=1.5,
        # no gradients for what is computed at a half and a quarter of the
        # input's size, which would be half of the time on a CPU
        frozen_stages=2),
    neck=dict(
        _delete_=True, type='MoveNetFPN', in_channels=[40, 48, 96, 1280]),
    head=dict(
        _delete_=True,
        type='SPMHead',
        in_channels=24,
        num_keypoints=17,
        keypoint_heatmaps=True,
        keypoint_offsets=True,
        stage=dict(type='MoveNetStage'),
        heatmap_loss=dict(type='MapFocalLoss'),
        keypoint_loss=dict(type='MapFocalLoss'),
        decoder=codec),
    test_cfg=dict(
        _delete_=True,
        flip_test=False,
        max_num_people=30,
        snap_thr=0.1,
        snap_distance=0.14,
        snap_to='best'))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(
    type='BottomupInstanceAffine',
    input_size=picture_size,
    picture_size=picture_size,
    scale_factor=(0.75, 1.33),
    rotate_factor=15.0)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(_base_.val_pipeline[1], input_size=picture_size)

# data loaders
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
