# Stage 1: a trained SPPE is fine-tuned on the proposals of PGPG.
_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/crowdpose/td-hm_hrnet-w32_8xb64-210e_crowdpose-256x192.py', '../_base_/rmpe.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
load_from = 'https://download.openmmlab.com/mmpose/top_down/hrnet/hrnet_w32_crowdpose_256x192-960be101_20201227.pth'

train_cfg = dict(max_epochs=30, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=0.00025))
param_scheduler = _base_.rmpe.scheduler

train_pipeline = [*_base_.rmpe.load, _base_.rmpe.pgpg] + [
    t for t in _base_.train_pipeline[1:] if t['type'] != 'RandomHalfBody'
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode='oks_nms')
test_evaluator = val_evaluator
