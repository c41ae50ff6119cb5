# Stage 1: the plain SPPE on proposals of PGPG, from ImageNet weights. The 4
# epochs of this stage and the 1 of the next are the plain model's 5.
_base_ = ['./td-hm_mobilenetv2_1xb16-5e_coco_mini-128x96.py', '../_base_/rmpe.py']

train_cfg = dict(max_epochs=4)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=4)]

# the paper's mode: mixtures for each atomic pose, fitted to the box errors of
# YOLOX-nano, whose boxes the model is evaluated on
pgpg = dict(
    type='PGPGTransform',
    mode='gmm_atomic',
    model='configs/rmpe/_base_/pgpg/coco_mini_yolox-nano.json')
train_pipeline = [
    *_base_.train_pipeline[:2], pgpg, *_base_.train_pipeline[2:]
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
