# The recommended form of SPM on the same features: heads of ordinary convolutions, and
# displacements around parents.
_base_ = ['./spm_movenet-multipose_heads_1xb8-1e_coco_mini-256x256.py']

# codec settings
codec = dict(_base_.windows_codec)

# model settings
model = dict(
    head=dict(
        _delete_=True,
        type='SPMHead',
        in_channels=24,
        num_keypoints=17,
        keypoint_heatmaps=True,
        heatmap_head=dict(num_convs=1, channels=64, kernel_size=3),
        displacement_head=dict(num_convs=3, channels=64, kernel_size=3),
        beta=0.5,
        decoder=codec),
    test_cfg=dict(
        _delete_=True,
        flip_test=False,
        nms_dist_thr=0.05,
        max_num_people=30,
        snap_thr=0.1,
        snap_distance=0.15))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

codec = dict(codec, _delete_=True)
