# Flat SPR: every joint's displacement starts at the root.
_base_ = ['../coco/spm_hrnet-w32_paper_8xb10-140e_coco-512x512.py']

codec = dict(_base_.codec, kinematics='coco-flat')
model = dict(head=dict(decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
