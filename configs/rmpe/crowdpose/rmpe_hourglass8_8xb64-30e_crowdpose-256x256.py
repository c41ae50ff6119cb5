# Stage 2: SSTN and a parallel SPPE of half the size join the SPPE of stage 1.
_base_ = ['./pgpg_hourglass8_8xb64-30e_crowdpose-256x256.py']
load_from = 'work_dirs/pgpg_hourglass8_8xb64-30e_crowdpose-256x256/epoch_30.pth'

optim_wrapper = dict(optimizer=dict(lr=5e-05), paramwise_cfg=_base_.rmpe.paramwise_cfg)
half = {**_base_.model, 'backbone': {**_base_.model.backbone, 'num_stacks': 4}, 'head': {**_base_.model.head, 'num_stages': 4}}
parallel = dict(sppe=half, checkpoint='work_dirs/td-hm_hourglass4_8xb64-210e_crowdpose-256x256/epoch_210.pth')
model = dict(_delete_=True, sppe=_base_.model, **{**_base_.rmpe.sstn, 'localizer_size': (128, 128), 'parallel': parallel})
find_unused_parameters = True

train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='GenerateCenterTarget', encoder=_base_.codec),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode=None, nms=_base_.rmpe.nms)
test_evaluator = val_evaluator
