# MoveNet's multipose network as SPM: the root is the centre of a person's box, vectors
# are in cells, and joints snap to the peaks of their heatmaps.
movenet_codec = dict(
    type='HierarchicalSPRCodec',
    tau=3,
    overlap='nearest',
    root_type='bbox_center',
    displacement_location='root',
    missing_parent='skip',
    normalizer=None,
    generate_keypoint_heatmaps=True,
    keypoint_sigma=1.5,
    generate_keypoint_offsets=True,
    background_weight=1)
movenet = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=dict(
        type='StrictPoseDataPreprocessor',
        size_divisor=32,
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True),
    backbone=dict(type='TFMobileNetV2', widen_factor=1.5),
    neck=dict(type='MoveNetFPN', in_channels=[40, 48, 96, 1280]),
    head=dict(
        type='SPMHead',
        in_channels=24,
        num_keypoints=17,
        keypoint_heatmaps=True,
        keypoint_offsets=True,
        stage=dict(type='MoveNetStage')),
    test_cfg=dict(
        flip_test=False,
        max_num_people=30,
        snap_thr=0.1,
        snap_distance=0.14,
        snap_to='best'))
