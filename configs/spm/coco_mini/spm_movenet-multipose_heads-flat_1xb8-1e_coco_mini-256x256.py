# Flat SPR: every joint's displacement starts at the root.
_base_ = ['./spm_movenet-multipose_heads-hierarchical_1xb8-1e_coco_mini-256x256.py']

codec = dict(_base_.codec, kinematics='coco-flat')
model = dict(head=dict(decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
