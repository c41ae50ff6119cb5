# Stage 1 of the ablation: MoveNet's lightning network on proposals of PGPG.
_base_ = [
    './td-hm_movenet-lightning_1xb16-10e_coco_mini-192x192.py',
    '../_base_/rmpe.py',
]

# runtime
train_cfg = dict(max_epochs=1)

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=1),
]

# one look at each crop: many models are compared
model = dict(test_cfg=dict(flip_test=False))

# proposals with the box errors of YOLOX-nano
pgpg = dict(
    type='PGPGTransform',
    mode='gmm_atomic',
    model='configs/rmpe/_base_/pgpg/coco_mini_yolox-nano.json')
train_pipeline = [
    *_base_.train_pipeline[:2], pgpg, *_base_.train_pipeline[2:]
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
