# What depth costs: the network of spm-3d_*, trained and tested in the picture's plane
_base_ = ['./spm-3d_movenet-multipose_1xb8-6e_generated-3d-256x192.py']

codec = dict(_base_.codec, type='HierarchicalSPRCodec')
model = dict(head=dict(depth_loss=None, root_depth_loss=None, decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode='none', score_mode='keypoint')
test_evaluator = val_evaluator
