# The paper's form: 8 hourglasses on 384x384 with a loss after each one. How the
# predictions go on is not published: here to the next stage's head (feedback), in
# PPN, the author's earlier network, into the next hourglass.
# Optimiser: PPN's, RMSprop.
_base_ = ['./spm_hrnet-w32_8xb10-250e_mpii-512x512.py', '../_base_/paper.py']

# runtime
optim_wrapper = dict(optimizer=dict(_base_.paper.optimizer, _delete_=True))
auto_scale_lr = dict(base_batch_size=32)

codec = dict(
    _base_.codec,
    **_base_.paper.codec,
    input_size=(384, 384),
    heatmap_size=(96, 96))

model = dict(
    data_preprocessor=dict(size_divisor=64),
    backbone=dict(_base_.paper.hourglass, _delete_=True),
    neck=None,
    head=dict(
        _base_.paper.hourglass_head,
        _delete_=True,
        num_keypoints=16,
        decoder=codec),
    test_cfg=dict(_base_.paper.test_cfg, _delete_=True))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[2] = dict(train_pipeline[2], input_size=codec['input_size'])
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(val_pipeline[1], input_size=codec['input_size'])

train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
