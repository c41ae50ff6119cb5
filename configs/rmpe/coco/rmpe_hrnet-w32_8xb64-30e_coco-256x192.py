# Stage 2: SSTN, with room to look around and a localizer that finds joints, and the
# parallel SPPE join the SPPE of stage 1.
_base_ = ['./pgpg_hrnet-w32_8xb64-30e_coco-256x192.py']
load_from = 'work_dirs/pgpg_hrnet-w32_8xb64-30e_coco-256x192/epoch_30.pth'

optim_wrapper = dict(optimizer=dict(lr=5e-05), paramwise_cfg=_base_.rmpe.paramwise_cfg)
context = 1.6
model = dict(_delete_=True, sppe=_base_.model, context=context, **_base_.rmpe.pose_sstn)

crop = dict(type='TopdownContextAffine', input_size=_base_.codec.input_size, context=context)
train_pipeline = [crop if t['type'] == 'TopdownAffine' else t for t in _base_.train_pipeline]
train_pipeline.insert(-1, dict(type='GenerateCenterTarget', encoder=_base_.codec))
val_pipeline = [crop if t['type'] == 'TopdownAffine' else t for t in _base_.val_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode=None, nms=_base_.rmpe.nms)
test_evaluator = val_evaluator
