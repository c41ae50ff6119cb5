# MoveNet's multipose network as a hierarchical SPM, without a training of ours: its
# vectors from the root become vectors between joints by a linear map of its last layer.
# tools/import_movenet.py multipose --kinematics coco
_base_ = ['./spm_movenet-multipose_1xb4-3e_coco_mini-384x384.py']

val_pipeline = list(_base_.val_pipeline)
val_pipeline[1] = dict(_base_.val_pipeline[1], input_size=(512, 512))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
