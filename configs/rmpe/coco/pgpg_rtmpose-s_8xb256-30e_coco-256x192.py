# Stage 1: a trained SPPE is fine-tuned on the proposals of PGPG.
_base_ = ['mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py', '../_base_/rmpe.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
load_from = 'https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/rtmpose-s_simcc-coco_pt-aic-coco_420e-256x192-8edcf0d7_20230127.pth'

train_cfg = dict(max_epochs=30, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=0.002))
param_scheduler = _base_.rmpe.scheduler
custom_hooks = _base_.custom_hooks[:1]  # no switch of the pipeline

# Without mmpose's blur and dropout of patches, which need albumentations, a package
# that mmpose does not bring.
left_out = ('RandomHalfBody', 'Albumentation')
train_pipeline = [*_base_.rmpe.load, _base_.rmpe.pgpg] + [
    t for t in _base_.train_pipeline[1:] if t['type'] not in left_out
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode='oks_nms')
test_evaluator = val_evaluator
