# SPM in 3D once more, in larger windows of enlarged pictures: people are larger in cells.
_base_ = ['spm-3d_movenet-multipose_windows_1xb12-3e_generated-3d-320x256.py']
load_from = ('work_dirs/spm-3d_movenet-multipose_windows_1xb12-3e_generated-3d-320x256/'
             'epoch_3.pth')

# runtime
train_cfg = dict(max_epochs=1)

# optimizer
optim_wrapper = dict(optimizer=dict(lr=3e-4))

# learning policy
param_scheduler = [
    dict(_base_.param_scheduler[0], end=50),
    dict(_base_.param_scheduler[1], end=1),
]

picture_size = (448, 352)
window_size = (320, 256)

# codec settings
codec = dict(_base_.codec, input_size=window_size, heatmap_size=(80, 64))
model = dict(head=dict(decoder=codec))

# pipelines
train_pipeline = [*_base_.train_pipeline]
train_pipeline[2] = dict(
    train_pipeline[2], input_size=window_size, picture_size=picture_size)
train_pipeline[4] = dict(train_pipeline[4], encoder=codec)
# tested larger: the best of seven sizes on other pictures than those of the validation
val_pipeline = [*_base_.val_pipeline]
val_pipeline[1] = dict(val_pipeline[1], input_size=(512, 416))

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
