# The network of the MPII config, trained on CrowdPose as HRNet is but for the
# optimiser.
_base_ = ['./spm_hrnet-w32_8xb10-300e_crowdpose-512x512.py']

# runtime
optim_wrapper = dict(optimizer=dict(_delete_=True, type='RMSprop', lr=2.5e-3))
auto_scale_lr = dict(base_batch_size=32)

# the paper's form
codec = dict(
    _base_.codec,
    input_size=(384, 384),
    heatmap_size=(96, 96),
    displacement_location='root',
    missing_parent='skip',
    generate_keypoint_heatmaps=False)

model = dict(
    data_preprocessor=dict(size_divisor=64),
    backbone=dict(_delete_=True, type='StackedHourglass', num_stacks=8),
    neck=None,
    head=dict(
        _delete_=True,
        type='SPMHead',
        in_channels=256,
        num_keypoints=14,
        num_stages=8,
        feedback=True,
        decoder=codec),
    test_cfg=dict(
        _delete_=True, flip_test=True, nms_dist_thr=0.05, max_num_people=30))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(
    val_pipeline[1], input_size=codec['input_size'], size_factor=64)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
