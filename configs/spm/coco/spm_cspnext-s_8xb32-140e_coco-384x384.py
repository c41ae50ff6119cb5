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
        _scope_='mmdet',
        type='CSPNeXt',
        arch='P5',
        expand_ratio=0.5,
        deepen_factor=0.33,
        widen_factor=0.5,
        out_indices=(1, 2, 3, 4),
        channel_attention=True,
        norm_cfg=dict(type='SyncBN'),
        act_cfg=dict(type='SiLU'),
        init_cfg=dict(
            type='Pretrained',
            prefix='backbone.',
            checkpoint='https://download.openmmlab.com/mmpose/v1/projects/'
            'rtmposev1/cspnext-s_udp-aic-coco_210e-256x192-92f5a029_20230130.pth')),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=64),
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
