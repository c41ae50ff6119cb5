# Flat SPR in 3D: every joint's displacement and depth start at the root.
_base_ = ['./spm-3d_movenet-multipose_1xb8-6e_generated-3d-256x192.py']

codec = dict(_base_.codec, kinematics='coco-flat')
model = dict(head=dict(decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
