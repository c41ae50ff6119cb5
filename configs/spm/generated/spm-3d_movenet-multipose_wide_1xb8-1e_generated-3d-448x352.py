# Once more, on pictures of other cameras, enlarged, so that people are larger in cells:
# python tools/generate_dataset.py data/generated_3d_20k --3d --num-train 20000 \
#     --size 320 256 --seed 1
_base_ = ['spm-3d_movenet-multipose_wide_1xb8-1e_generated-3d-320x256.py']
load_from = 'work_dirs/spm-3d_movenet-multipose_wide_1xb8-1e_generated-3d-320x256/epoch_1.pth'

picture_size = (448, 352)

# codec settings
codec = dict(_base_.codec, input_size=picture_size, heatmap_size=(112, 88))
model = dict(head=dict(decoder=codec))

# pipelines
train_pipeline = [*_base_.train_pipeline]
train_pipeline[2] = dict(
    train_pipeline[2], input_size=picture_size, picture_size=picture_size)
train_pipeline[4] = dict(train_pipeline[4], encoder=codec)
val_pipeline = [*_base_.val_pipeline]
val_pipeline[1] = dict(val_pipeline[1], input_size=picture_size)

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
