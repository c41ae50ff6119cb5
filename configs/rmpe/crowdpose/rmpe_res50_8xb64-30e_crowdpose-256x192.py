# Stage 2: SSTN and the parallel SPPE join the SPPE of stage 1.
_base_ = ['./pgpg_res50_8xb64-30e_crowdpose-256x192.py']
load_from = 'work_dirs/pgpg_res50_8xb64-30e_crowdpose-256x192/epoch_30.pth'

optim_wrapper = dict(optimizer=dict(lr=5e-05), paramwise_cfg=_base_.rmpe.paramwise_cfg)
model = dict(_delete_=True, sppe=_base_.model, **_base_.rmpe.sstn)
find_unused_parameters = True

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='GenerateCenterTarget', encoder=_base_.codec),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode=None, nms=_base_.rmpe.nms)
test_evaluator = val_evaluator
