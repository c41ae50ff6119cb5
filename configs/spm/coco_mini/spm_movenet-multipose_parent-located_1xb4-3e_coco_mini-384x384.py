# Displacements around each joint's parent, where MoveNet has none: they start as those
# at the root.
_base_ = ['./spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']

codec = dict(_base_.codec, displacement_location='parent')
model = dict(head=dict(decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
