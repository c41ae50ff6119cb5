# MoveNet's multipose network: the flat form of SPM with joint heatmaps to snap to. It
# needs no training to be tested; tools/import_movenet.py writes its weights.
_base_ = ['./spm_hrnet-w32_8xb10-140e_coco-512x512.py']
load_from = 'data/pretrained/movenet-multipose.pth'

# trained weights without normalisation
optim_wrapper = dict(optimizer=dict(lr=1e-4))

# codec settings: its root is the centre of a person's box, its vectors are cells
codec = dict(
    type='HierarchicalSPRCodec',
    input_size=(512, 512),
    heatmap_size=(128, 128),
    kinematics='coco-flat',
    missing_parent='ancestor',
    sigma=3,
    tau=3,
    overlap='nearest',
    root_type='bbox_center',
    normalizer=None,
    generate_keypoint_heatmaps=True,
    keypoint_sigma=1.5,
    generate_keypoint_offsets=True)

# model settings
model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True, type='TFMobileNetV2', widen_factor=1.5),
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
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
# the longer side of a picture is as long as the input
val_pipeline[1] = dict(
    type='BottomupResize', input_size=codec['input_size'], size_factor=32,
    resize_mode='fit')

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
