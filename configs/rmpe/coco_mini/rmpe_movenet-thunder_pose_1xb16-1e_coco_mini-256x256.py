# Before the thunder network, lightning finds joints for theta to frame: its weights ship
# with the package, and only it is trained.
_base_ = ['./rmpe_movenet-lightning_pose_1xb16-1e_coco_mini-192x192.py']
load_from = 'work_dirs/td-hm_movenet-thunder_1xb16-4e_coco_mini-256x256/epoch_4.pth'

# codec settings
codec = dict(
    _base_.codec, input_size=(256, 256), heatmap_size=(64, 64), sigma=2,
    blur_kernel_size=11)

# model settings
model = dict(
    sppe=dict(
        backbone=dict(widen_factor=1.75, init_cfg=None),
        neck=dict(in_channels=[40, 56, 112, 1280], init_cfg=None),
        head=dict(decoder=codec, init_cfg=None)),
    localizer_from_backbone=False,
    localizer=dict(
        init_cfg=dict(
            type='Pretrained', checkpoint='rmpe_spm://td-hm_movenet-lightning')))

# pipelines
crop = dict(_base_.crop, input_size=codec['input_size'])
train_pipeline = list(_base_.train_pipeline)
train_pipeline[6] = crop
train_pipeline[7] = dict(type='GenerateTarget', encoder=codec)
train_pipeline[8] = dict(_base_.train_pipeline[8], encoder=codec)
val_pipeline = [*_base_.val_pipeline[:2], crop, _base_.val_pipeline[-1]]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
