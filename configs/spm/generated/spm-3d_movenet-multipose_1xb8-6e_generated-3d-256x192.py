# SPM in 3D on generated people in a camera's space:
# python tools/generate_dataset.py data/generated_3d --3d --num-train 8000 --size 320 256
# It starts from the weights that ship with the package; the depths' head is new.
_base_ = ['../coco_mini/spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']
load_from = 'rmpe_spm://spm_movenet-multipose'

# runtime
train_cfg = dict(max_epochs=6, val_interval=2)

# optimizer: features are small, so that the depths' new heads need steps as large as
# the trained heads' weights
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='AdamW', lr=5e-4, weight_decay=0.01, fused=True),
    paramwise_cfg=dict(custom_keys={'depth.': dict(lr_mult=20)}))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=6),
]

picture_size = (256, 192)

# codec settings
codec = dict(
    _base_.codec,
    type='HierarchicalSPR3DCodec',
    input_size=picture_size,
    heatmap_size=(64, 48))

# model settings: an error of a tenth of the root's depth costs as much as one of 5 cells
# in the picture
model = dict(
    head=dict(
        decoder=codec,
        depth_loss=dict(type='MapL1Loss', loss_weight=3),
        root_depth_loss=dict(type='MapL1Loss', loss_weight=50)),
    test_cfg=dict(
        snap_thr=0.02, snap_distance=0.1, nms=dict(type='OKSNMS', thr=0.5)))

# base dataset settings
# the folder is given by the environment variable GENERATED_3D
dataset_type = 'PanopticMultiPersonDataset'
data_mode = 'bottomup'
data_root = '{{$GENERATED_3D:data/generated_3d}}/'
coco_joints = dict(from_file='configs/_base_/datasets/coco.py')

# pipelines
train_pipeline = [
    dict(type='LoadImageOrSkip'),
    dict(type='RandomFlip'),
    dict(
        type='BottomupInstanceAffine',
        input_size=picture_size,
        picture_size=picture_size,
        scale_factor=(0.75, 1.33),
        rotate_factor=15.0),
    dict(type='KeypointDepths'),
    dict(type='GenerateTarget', encoder=codec),
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
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale',
                   'flip_indices', 'raw_ann_info', 'camera')),
]

# data loaders
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_mode=data_mode,
        data_root=data_root + 'train/',
        metainfo=coco_joints,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_mode=data_mode,
        data_root=data_root + 'val/',
        metainfo=coco_joints,
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

# evaluators: for the AP in the picture test with test_evaluator.type=PoseNMSCocoMetric
val_evaluator = dict(_delete_=True, type='MultiPersonPCK3D')
test_evaluator = val_evaluator
