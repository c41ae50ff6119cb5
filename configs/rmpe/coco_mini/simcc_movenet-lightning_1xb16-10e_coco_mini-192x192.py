# As td-hm_movenet-lightning, with a SimCC head, which learns from scratch.
_base_ = ['./td-hm_movenet-lightning_1xb16-10e_coco_mini-192x192.py']

# optimizer: mmpose turns SimCC's vectors into arrays, which have no bfloat16
optim_wrapper = dict(type='OptimWrapper')

# codec settings
codec = dict(
    type='SimCCLabel',
    input_size=(192, 192),
    sigma=4.9,
    simcc_split_ratio=2.0)

# model settings
model = dict(
    head=dict(
        _delete_=True,
        type='SimCCHead',
        in_channels=24,
        out_channels=17,
        input_size=(192, 192),
        in_featuremap_size=(48, 48),
        simcc_split_ratio=2.0,
        deconv_out_channels=None,
        loss=dict(type='KLDiscretLoss', use_target_weight=True),
        decoder=codec),
    test_cfg=dict(_delete_=True, flip_test=True))

# pipelines
train_pipeline = list(_base_.train_pipeline)
train_pipeline[5] = dict(type='TopdownAffine', input_size=(192, 192))
train_pipeline[6] = dict(type='GenerateTarget', encoder=codec)
val_pipeline = list(_base_.val_pipeline)
val_pipeline[2] = train_pipeline[5]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

codec = dict(codec, _delete_=True)
