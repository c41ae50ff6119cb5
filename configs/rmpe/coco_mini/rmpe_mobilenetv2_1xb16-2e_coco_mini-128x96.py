# Stage 2 with a longer schedule, for the ablation on photographs:
# docs/results/rmpe.md
_base_ = ['./rmpe_mobilenetv2_1xb16-1e_coco_mini-128x96.py']
load_from = 'work_dirs/pgpg_mobilenetv2_1xb16-10e_coco_mini-128x96/epoch_10.pth'

# runtime
train_cfg = dict(max_epochs=2)

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=2),
]
