# The paper's SPPE: a stacked hourglass, trained as mmpose trains ResNet-50.
_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/crowdpose/td-hm_res50_8xb64-210e_crowdpose-256x192.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))

codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2)
head = dict(_delete_=True, type='CPMHead', in_channels=256, out_channels=14, num_stages=8, deconv_out_channels=None, loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=codec)
model = dict(backbone=dict(_delete_=True, type='StackedHourglass', num_stacks=8), head=head)

crop = dict(type='TopdownAffine', input_size=codec['input_size'])
train_pipeline = [*_base_.train_pipeline[:5], crop, dict(type='GenerateTarget', encoder=codec), _base_.train_pipeline[-1]]
val_pipeline = [*_base_.val_pipeline[:2], crop, _base_.val_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode='oks_nms')
test_evaluator = val_evaluator
