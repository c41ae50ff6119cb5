# Stage 1: a trained SPPE is fine-tuned on the proposals of PGPG.
_base_ = ['./td-hm_hourglass8_8xb32-210e_coco-256x256.py', '../_base_/rmpe.py']
load_from = 'work_dirs/td-hm_hourglass8_8xb32-210e_coco-256x256/epoch_210.pth'

train_cfg = dict(max_epochs=30, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=0.00025))
param_scheduler = _base_.rmpe.scheduler

train_pipeline = [*_base_.rmpe.load, _base_.rmpe.pgpg] + [
    t for t in _base_.train_pipeline[1:] if t['type'] != 'RandomHalfBody'
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
