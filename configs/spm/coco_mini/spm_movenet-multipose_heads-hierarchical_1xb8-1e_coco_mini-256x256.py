# The hierarchical form as in the paper, its vectors all at the root; joints without
# heatmaps to snap to, so that only the vectors count.
_base_ = ['./spm_movenet-multipose_heads_1xb8-1e_coco_mini-256x256.py']

codec = dict(
    _base_.codec,
    generate_keypoint_heatmaps=False,
    generate_keypoint_offsets=False)
model = dict(
    head=dict(
        keypoint_heatmaps=False, keypoint_offsets=False, decoder=codec),
    test_cfg=dict(
        _delete_=True,
        flip_test=False,
        max_num_people=30,
        nms_dist_thr=0.05))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
