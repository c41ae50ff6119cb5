# MPII's groups of people, with the network, optimiser and input of the COCO config and
# the schedule of the author's earlier PPN (250 epochs).
_base_ = ['../coco/spm_hrnet-w32_8xb10-140e_coco-512x512.py']

# runtime
train_cfg = dict(max_epochs=250)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(
        type='MultiStepLR', begin=0, end=250, milestones=[100, 150, 200],
        gamma=0.5, by_epoch=True),
    dict(
        type='MultiStepLR', begin=0, end=250, milestones=[170], gamma=0.4,
        by_epoch=True),
]
default_hooks = dict(
    checkpoint=dict(save_best='mpii/Total', rule='greater', interval=10))

codec = dict(_base_.codec, kinematics='mpii')

model = dict(head=dict(num_keypoints=16, decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'],
    rotate_factor=40)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
# the protocol of the published tables: a group's place and mean scale are known;
# a picture without groups (the inferencer's) is shown as a whole
val_pipeline = [
    dict(type='LoadImageOrSkip'),
    dict(type='GroupAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

dataset_type = 'MpiiMultiPersonDataset'
data_root = 'data/mpii/'
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline))
# Numbers compare with the published ones only on their groups, which the
# release has not: `group_file`, see docs/evaluation.md
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_val.json',
        headbox_file=data_root + 'annotations/mpii_gt_val.mat',
        protocol='group',
        data_prefix=dict(img='images/'),
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(
    _delete_=True,
    type='MpiiMultiPersonAP',
    nms=dict(type='ParametricPoseNMS', preset='mpii'))
test_evaluator = val_evaluator
