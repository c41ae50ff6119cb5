_base_ = ['./spm_movenet-multipose_8xb10-140e_coco-512x512.py']

codec = dict(_base_.codec, input_size=(256, 256), heatmap_size=(64, 64))
model = dict(head=dict(decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(_base_.val_pipeline[1], input_size=codec['input_size'])

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
