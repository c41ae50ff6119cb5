# The paper's SPPE: a stacked hourglass, trained as mmpose trains its own.
_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hourglass52_8xb32-210e_coco-256x256.py']
custom_imports = dict(imports=['rmpe_spm'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))

model = dict(backbone=dict(_delete_=True, type='StackedHourglass', num_stacks=8), head=dict(num_stages=8))
val_evaluator = dict(type='PoseNMSCocoMetric', nms_mode='oks_nms')
test_evaluator = val_evaluator
