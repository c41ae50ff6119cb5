# Stage 1 with a longer schedule, for the ablation on photographs:
# docs/results/rmpe.md
_base_ = ['./pgpg_mobilenetv2_1xb16-4e_coco_mini-128x96.py']

# runtime
train_cfg = dict(max_epochs=10)

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=10),
]
