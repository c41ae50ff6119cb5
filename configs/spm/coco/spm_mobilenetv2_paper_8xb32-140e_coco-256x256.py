# The paper's form.
_base_ = ['./spm_mobilenetv2_8xb32-140e_coco-256x256.py', '../_base_/paper.py']

codec = dict(_base_.codec, **_base_.paper.codec)

model = dict(
    head=dict(_base_.paper.head, decoder=codec),
    test_cfg=dict(_base_.paper.test_cfg, _delete_=True))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
