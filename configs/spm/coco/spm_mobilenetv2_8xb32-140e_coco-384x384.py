_base_ = ['./spm_hrnet-w32_8xb10-140e_coco-512x512.py']

# on a small map people are few cells apart: smaller radii than the paper's,
# and cells in several windows belong to the nearest root
codec = dict(
    _base_.codec,
    input_size=(384, 384),
    heatmap_size=(96, 96),
    sigma=4,
    tau=4,
    keypoint_sigma=2,
    overlap='nearest')

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),
        init_cfg=dict(
            type='Pretrained', checkpoint='mmcls://mobilenet_v2')),
    neck=dict(in_channels=[24, 32, 96, 320], out_channels=64),
    head=dict(in_channels=64, decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(
    type='BottomupResize', input_size=codec['input_size'], size_factor=32,
    resize_mode='expand')

train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=256)
# the backbone's last layer, which feeds its classifier, is not used
find_unused_parameters = True
