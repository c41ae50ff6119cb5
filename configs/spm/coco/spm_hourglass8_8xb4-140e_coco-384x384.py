# The network of the MPII config, trained on COCO as HRNet is but for the optimiser, in
# the paper's form.
_base_ = ['./spm_hrnet-w32_paper_8xb10-140e_coco-512x512.py']

# runtime
optim_wrapper = dict(optimizer=dict(_base_.paper.optimizer, _delete_=True))
auto_scale_lr = dict(base_batch_size=32)

codec = dict(_base_.codec, input_size=(384, 384), heatmap_size=(96, 96))

model = dict(
    data_preprocessor=dict(size_divisor=64),
    backbone=dict(_base_.paper.hourglass, _delete_=True),
    neck=None,
    head=dict(
        _base_.paper.hourglass_head,
        _delete_=True,
        num_keypoints=17,
        decoder=codec))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(
    type='BottomupRandomAffine', input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(
    val_pipeline[1], input_size=codec['input_size'], size_factor=64)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
