_base_ = ['../coco/spm_hrnet-w32_8xb10-140e_coco-512x512.py']

# runtime
train_cfg = dict(max_epochs=300, val_interval=20)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(
        type='MultiStepLR', begin=0, end=300, milestones=[200, 260], gamma=0.1,
        by_epoch=True),
]
default_hooks = dict(checkpoint=dict(save_best='crowdpose/AP', rule='greater'))

codec = dict(_base_.codec, kinematics='crowdpose')

model = dict(head=dict(num_keypoints=14, decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)

dataset_type = 'CrowdPoseDataset'
data_root = 'data/crowdpose/'
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_trainval.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_test.json',
        data_prefix=dict(img='images/')))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='PoseNMSCocoMetric',
    ann_file=data_root + 'annotations/mmpose_crowdpose_test.json',
    nms_mode='none',
    score_mode='keypoint',
    use_area=False,
    iou_type='keypoints_crowd',
    prefix='crowdpose')
test_evaluator = val_evaluator
