# Stage 2 as in the paper: theta is regressed from the last map of the crop itself,
# without bounds, and learns by the main loss and the centre loss, both through the
# pixels.
_base_ = ['./rmpe_hrnet-w32_8xb64-30e_coco-256x192.py']

model = dict(
    context=1.0,
    localizer=dict(_base_.rmpe.sstn.localizer, _delete_=True, out_indices=(7, )),
    localizer_size=(96, 128),
    sstn=dict(in_channels=1280, pool_size=(3, 4), bounds=None, detach_theta=False, theta_loss=None),
    parallel=dict(center_loss='paper'))

crop = dict(_base_.crop, context=1.0)
train_pipeline = [crop if 'context' in t else t for t in _base_.train_pipeline]
val_pipeline = [crop if 'context' in t else t for t in _base_.val_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
