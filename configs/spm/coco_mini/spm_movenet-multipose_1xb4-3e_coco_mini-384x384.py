# SPM from MoveNet's multipose network, trained and tested on whole pictures of 384x384;
# in smaller windows the large people of a picture would be seen in parts only. It
# starts with the poses that MoveNet finds:
# tools/import_movenet.py multipose --kinematics coco
_base_ = [
    './spm_mobilenetv2_windows_1xb8-16e_coco_mini-256x256.py',
    '../_base_/movenet-multipose.py',
]
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

# codec settings
codec = dict(
    _base_.movenet_codec,
    input_size=picture_size,
    heatmap_size=(96, 96),
    kinematics='coco',
    sigma=2)

# model settings
model = dict(
    _base_.movenet,
    _delete_=True,
    # no gradients for what is computed at a half and a quarter of the input's size,
    # which would be half of the time on a CPU
    backbone=dict(_base_.movenet.backbone, frozen_stages=2),
    head=dict(
        _base_.movenet.head,
        heatmap_loss=dict(type='MapFocalLoss'),
        keypoint_loss=dict(type='MapFocalLoss'),
        decoder=codec))

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
