# MoveNet's multipose network in two sizes of each picture: it was trained at 256 pixels, where
# large people are as large as then; small ones are found at 512.
# tools/import_movenet.py multipose --kinematics coco
_base_ = ['./spm_movenet-multipose_untrained_coco_mini-512x512.py']

# model settings
model = dict(
    type='MultiscaleBottomupPoseEstimator',
    # pixels of the input, chosen on 200 pictures of train2017
    test_cfg=dict(
        multiscale_test=True,
        pose_size_range=(64, 256),
        nms=dict(type='OKSNMS', thr=0.6)))

# pipelines
val_pipeline = [
    _base_.val_pipeline[0],
    dict(
        _base_.val_pipeline[1],
        type='MultiscaleBottomupResize',
        aug_scales=[0.5]),
    dict(_base_.val_pipeline[2], type='PackMultiscalePoseInputs'),
]

# data loaders
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
