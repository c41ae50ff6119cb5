# SPM in the paper's form, with HRNet-W32 in place of the hourglass.
_base_ = ['./spm_hrnet-w32_8xb10-140e_coco-512x512.py', '../_base_/paper.py']

codec = dict(_base_.codec, **_base_.paper.codec)

model = dict(
    head=dict(_base_.paper.head, decoder=codec),
    test_cfg=dict(_base_.paper.test_cfg, _delete_=True))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
