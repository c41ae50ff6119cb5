# mmpose's DEKR beside spm_movenet-multipose_heads: the same features, windows and
# schedule, its deformable convolutions by grid_sample.
_base_ = ['./spm_movenet-multipose_heads_1xb8-1e_coco_mini-256x256.py']

# hooks
# no ChannelsLastHook: the flip test of mmpose's DEKR refuses that format
custom_hooks = [dict(type='SyncBuffersHook')]

# codec settings: sigma as in mmpose's DEKR for COCO, scaled to the grid
codec = dict(
    type='SPR',
    input_size=(128, 128),
    heatmap_size=(32, 32),
    sigma=(2, 1),
    minimal_diagonal_length=8**0.5,
    generate_keypoint_heatmaps=True,
    decode_max_instances=30)

# model settings
model = dict(
    head=dict(
        _delete_=True,
        type='GridSampleDEKRHead',
        in_channels=24,
        num_keypoints=17,
        heatmap_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        displacement_loss=dict(
            type='SoftWeightSmoothL1Loss',
            use_target_weight=True,
            supervise_empty=False,
            beta=1 / 9,
            loss_weight=0.002),
        decoder=codec),
    test_cfg=dict(
        _delete_=True,
        multiscale_test=False,
        flip_test=False,
        nms_dist_thr=0.05,
        shift_heatmap=True,
        align_corners=False))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# DEKR takes one image at a time
val_dataloader = dict(batch_size=1)
test_dataloader = val_dataloader

codec = dict(codec, _delete_=True)
