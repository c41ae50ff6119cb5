# Stage 1 with a shorter schedule, for the ablation over several seeds:
# docs/results/rmpe.md
_base_ = ['./pgpg_mobilenetv2_1xb16-8e_generated-128x96.py']

# runtime
train_cfg = dict(max_epochs=2, val_interval=2)

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=2),
]
