# Heatmaps of the joints score them and attract them at test.
_base_ = ['../coco/spm_hrnet-w32_paper_8xb10-140e_coco-512x512.py']

codec = dict(_base_.codec, generate_keypoint_heatmaps=True)
model = dict(
    head=dict(keypoint_heatmaps=True, decoder=codec),
    test_cfg=dict(snap_thr=0.1))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
