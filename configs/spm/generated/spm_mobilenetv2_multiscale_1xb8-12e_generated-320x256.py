# The weights of spm_mobilenetv2_1xb8-12e_generated-320x256, tested on each
# picture in four sizes: every person is read where it is as large as in training.
_base_ = ['./spm_mobilenetv2_1xb8-12e_generated-320x256.py']

# model settings
model = dict(
    type='MultiscaleBottomupPoseEstimator',
    # pixels of the input, chosen by trial: the windows are
    # laid around people whose boxes have 89 to 167, and show others beside them
    test_cfg=dict(multiscale_test=True, pose_size_range=(100, 220)))

# pipelines
val_pipeline = [
    _base_.val_pipeline[0],
    dict(
        _base_.val_pipeline[1],
        type='MultiscaleBottomupResize',
        aug_scales=[0.5, 1.5, 2]),
    dict(_base_.val_pipeline[2], type='PackMultiscalePoseInputs'),
]

# data loaders
val_dataloader = dict(batch_size=4, dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
