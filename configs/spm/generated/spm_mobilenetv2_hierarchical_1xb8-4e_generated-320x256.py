# The hierarchical form as in the paper, with a shorter schedule than the demo's,
# for the comparison with the flat form over several seeds.
_base_ = ['./spm_mobilenetv2_1xb8-12e_generated-320x256.py']

# runtime
train_cfg = dict(max_epochs=4, val_interval=4)

# learning policy
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=4),
]

# codec settings: all displacements at the root, joints without their parents left out,
# no heatmaps of the joints, and the squared error of all cells alike
codec = dict(
    _base_.codec,
    displacement_location='root',
    missing_parent='skip',
    generate_keypoint_heatmaps=False,
    background_weight=1)

# model settings
model = dict(
    head=dict(keypoint_heatmaps=False, decoder=codec),
    test_cfg=dict(
        _delete_=True, flip_test=True, nms_dist_thr=0.05, max_num_people=30))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
