# The hierarchical form, trained by the flat form's loss: not on the vectors between
# joints but on their sums from the root to each joint, of all labelled joints.
_base_ = ['./spm_mobilenetv2_hierarchical_1xb8-4e_generated-320x256.py']

codec = dict(_base_.codec, generate_joint_offsets=True)
model = dict(
    head=dict(
        displacement_loss=dict(type='MapL1Loss', loss_weight=0),
        joint_offset_loss=dict(type='MapL1Loss'),
        decoder=codec))
train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(type='GenerateTarget', encoder=codec)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
