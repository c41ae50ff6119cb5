# The flat form, as MoveNet has it, from the same weights: all vectors lead from the root.
_base_ = ['./spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']
load_from = 'data/pretrained/movenet-multipose.pth'

codec = dict(_base_.codec, kinematics='coco-flat')
model = dict(head=dict(decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
