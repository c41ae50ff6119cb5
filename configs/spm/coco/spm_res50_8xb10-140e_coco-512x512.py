_base_ = ['./spm_hrnet-w32_8xb10-140e_coco-512x512.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=128,
        num_outs=4),
    head=dict(in_channels=128, in_index=0, shared_head=None))

# only the finest level of the pyramid is used
find_unused_parameters = True
