# SPM trained on windows around people, tested on whole pictures: a step costs a
# quarter of one on pictures of 256x256. Ordinary convolutions in the head.
_base_ = ['./spm_mobilenetv2_1xb16-20e_coco_mini-256x256.py']

# runtime
train_cfg = dict(max_epochs=16, val_interval=2)

# optimizer
optim_wrapper = dict(optimizer=dict(lr=3e-3, fused=True))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=16, eta_min=1e-5),
]

# hooks
default_hooks = dict(logger=dict(interval=20))

# A whole picture as a test shows it, and the window that a training step sees. It
# shows the picture larger: its people are to be as large as the window, whatever
# their size in the picture, as the multi-scale test reads them.
picture_size = (256, 256)
largest_size = (512, 512)
window_size = (128, 128)

# codec settings: a displacement is read at the joint's parent, and joints snap to
# the peaks of their heatmaps
codec = dict(
    _base_.codec,
    input_size=window_size,
    heatmap_size=(32, 32),
    displacement_location='parent',
    generate_keypoint_heatmaps=True,
    keypoint_sigma=1.5,
    # as in DEKR; with 1 the few cells of a peak hardly count in so few steps:
    # docs/results/demo.md
    background_weight=0.1)

# model settings
model = dict(
    head=dict(
        keypoint_heatmaps=True,
        heatmap_head=dict(
            _delete_=True, num_convs=1, channels=32, kernel_size=3),
        displacement_head=dict(
            _delete_=True, num_convs=2, channels=64, kernel_size=3),
        # more than the paper's: in few steps the root map would take it all
        beta=0.5,
        decoder=codec),
    test_cfg=dict(snap_thr=0.1, snap_distance=0.15))

# pipelines
train_pipeline = [
    *_base_.train_pipeline[:2],
    # before the window, which puts the crowds' mask right
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='BottomupInstanceAffine',
        input_size=window_size,
        picture_size=largest_size,
        scale_factor=(0.8, 1.5),
        rotate_prob=0.0),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='BottomupGetCrowdMask'),
    dict(type='PackPoseInputs'),
]

# data loaders
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, num_workers=2)
test_dataloader = val_dataloader
