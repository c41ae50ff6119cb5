# MoveNet's multipose network: the flat form of SPM with joint heatmaps to snap to. It
# needs no training to be tested; tools/import_movenet.py writes its weights.
_base_ = [
    './spm_hrnet-w32_8xb10-140e_coco-512x512.py',
    '../_base_/movenet-multipose.py',
]
load_from = 'data/pretrained/movenet-multipose.pth'

# trained weights without normalisation
optim_wrapper = dict(optimizer=dict(lr=1e-4))

# codec settings
codec = dict(
    _base_.movenet_codec,
    input_size=(512, 512),
    heatmap_size=(128, 128),
    kinematics='coco-flat',
    missing_parent='ancestor',
    sigma=3)

# model settings
model = dict(
    _base_.movenet, _delete_=True, head=dict(_base_.movenet.head, decoder=codec))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
# the longer side of a picture is as long as the input
val_pipeline[1] = dict(
    type='BottomupResize', input_size=codec['input_size'], size_factor=32,
    resize_mode='fit')

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
