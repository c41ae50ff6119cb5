# What RMPE adds to an MMPose top-down config. The leaf configs take these
# pieces by name: `_base_.rmpe.<name>`.
rmpe = dict(
    # bad samples are logged and left out
    load=[dict(type='LoadImageOrSkip'), dict(type='SanitizeInstances')],
    # stage 1: boxes as a person detector would give them
    pgpg=dict(type='PGPGTransform', mode='global_gaussian'),
    # stage 2: a MobileNetV2 up to stride 16 on a small copy of the crop, whose
    # cells tell where the person is; theta learns by the centre loss and its
    # own, the SPPE by the main loss
    sstn=dict(
        type='ParallelSPPE',
        localizer=dict(
            type='MobileNetV2',
            out_indices=(4, ),
            init_cfg=dict(
                type='Pretrained', checkpoint='mmcls://mobilenet_v2')),
        localizer_size=(96, 128),
        sstn=dict(
            type='SSTNHead',
            in_channels=96,
            transform='scale_shift',
            pool_size=(6, 8),
            detach_theta=True,
            theta_loss=dict(type='ThetaCornerLoss'),
            dead_zone=0.25),
        parallel=dict()),
    # the same with MoveNet's lightning network as the localizer, which ships with
    # the package: theta frames the joints of COCO that it finds
    pose_sstn=dict(
        type='ParallelSPPE',
        localizer=dict(
            type='PoseLocalizer',
            backbone=dict(type='TFMobileNetV2', widen_factor=1.0),
            neck=dict(type='MoveNetFPN', in_channels=[24, 32, 64, 1280]),
            head=dict(
                type='MoveNetHeatmapHead',
                in_channels=24,
                out_channels=17,
                decoder=dict(
                    type='UDPHeatmap',
                    input_size=(192, 192),
                    heatmap_size=(48, 48),
                    sigma=1.5)),
            mean=[127.5, 127.5, 127.5],
            std=[127.5, 127.5, 127.5],
            init_cfg=dict(
                type='Pretrained',
                checkpoint='rmpe_spm://td-hm_movenet-lightning')),
        localizer_size=(128, 160),
        sstn=dict(
            type='SSTNHead',
            in_channels=None,
            transform='scale_shift',
            detach_theta=True,
            theta_loss=dict(type='ThetaCornerLoss')),
        parallel=dict()),
    # the localizer learns slowly beside an SPPE that is already trained
    paramwise_cfg=dict(
        custom_keys=dict(
            localizer=dict(lr_mult=0.5), sstn=dict(lr_mult=0.1))),
    # both stages: 20 epochs, then 10 with a lower learning rate
    scheduler=[
        dict(
            type='LinearLR',
            begin=0,
            end=500,
            start_factor=0.001,
            by_epoch=False),
        dict(
            type='MultiStepLR',
            begin=0,
            end=30,
            milestones=[20],
            gamma=0.2,
            by_epoch=True),
    ],
    nms=dict(type='ParametricPoseNMS', preset='learned'))
