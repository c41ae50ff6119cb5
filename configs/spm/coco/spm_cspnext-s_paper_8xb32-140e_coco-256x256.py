# The paper's form: all displacements at the root, a joint without its parent is left out,
# no heatmaps of the joints.
_base_ = ['./spm_cspnext-s_8xb32-140e_coco-256x256.py']

codec = dict(
    _base_.codec,
    displacement_location='root',
    missing_parent='skip',
    generate_keypoint_heatmaps=False)

model = dict(
    head=dict(keypoint_heatmaps=False, beta=0.01, decoder=codec),
    test_cfg=dict(
        _delete_=True, flip_test=True, nms_dist_thr=0.05, max_num_people=30))

train_pipeline = list(_base_.train_pipeline)
train_pipeline[4] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
