_base_ = ['./spm_hrnet-w32_8xb10-140e_coco-512x512.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    # a light pyramid: the levels are added in the head
    neck=dict(
        _delete_=True,
        type='ChannelMapper',
        in_channels=[256, 512, 1024, 2048],
        out_channels=128,
        kernel_size=1,
        norm_cfg=dict(type='BN'),
        act_cfg=None),
    head=dict(
        in_channels=128,
        in_index=(0, 1, 2, 3),
        shared_head=dict(num_convs=1, channels=128, kernel_size=3)))
