# Displacements around each joint's parent, read in a chain.
_base_ = ['../coco/spm_hrnet-w32_paper_8xb10-140e_coco-512x512.py']

codec = dict(_base_.codec, displacement_location='parent')
model = dict(head=dict(decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
