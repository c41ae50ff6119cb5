# SPM with the backbone, data, input, schedule and augmentation of the plain
# bottom-up counterpart.
_base_ = ['./dekr_mobilenetv2_1xb16-20e_coco_mini-256x256.py']

# hooks
custom_hooks = [
    dict(type='SyncBuffersHook'),
    dict(type='ChannelsLastHook'),
    dict(type='FuseConvBNHook'),
]

# codec settings: on a small map people are few cells apart, so the radii are
# smaller than the paper's, and cells in several windows belong to the nearest
# root
codec = dict(
    type='HierarchicalSPRCodec',
    input_size=(256, 256),
    heatmap_size=(64, 64),
    kinematics='coco',
    sigma=3,
    tau=3,
    overlap='nearest')

# model settings
model = dict(
    # a light pyramid: the levels are added in the head
    neck=dict(
        _delete_=True,
        type='ChannelMapper',
        in_channels=[24, 32, 96, 320],
        out_channels=64,
        kernel_size=1,
        norm_cfg=dict(type='BN'),
        act_cfg=None),
    head=dict(
        _delete_=True,
        type='SPMHead',
        in_channels=64,
        in_index=(0, 1, 2, 3),
        num_keypoints=17,
        heatmap_head=dict(
            num_convs=1, channels=32, kernel_size=3, depthwise=True),
        displacement_head=dict(
            num_convs=2, channels=64, kernel_size=3, depthwise=True),
        decoder=codec),
    test_cfg=dict(
        _delete_=True, flip_test=True, nms_dist_thr=0.05, max_num_people=30))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

codec = dict(codec, _delete_=True)
