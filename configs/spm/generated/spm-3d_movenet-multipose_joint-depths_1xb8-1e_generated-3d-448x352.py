# Depths read at the joints too, beside those read at the root: once more at this size, on
# pictures of yet other cameras:
# python tools/generate_dataset.py data/generated_3d_26k --3d --num-train 26000 \
#     --num-val 10 --size 320 256 --seed 2
_base_ = ['spm-3d_movenet-multipose_wide_1xb8-1e_generated-3d-448x352.py']
load_from = 'work_dirs/spm-3d_movenet-multipose_wide_1xb8-1e_generated-3d-448x352/epoch_1.pth'

# codec settings
codec = dict(_base_.codec, depth_locations=('root', 'joint'))
model = dict(head=dict(decoder=codec, depth_loss=dict(loss_weight=2)))

# pipelines
train_pipeline = [*_base_.train_pipeline]
train_pipeline[4] = dict(train_pipeline[4], encoder=codec)

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
