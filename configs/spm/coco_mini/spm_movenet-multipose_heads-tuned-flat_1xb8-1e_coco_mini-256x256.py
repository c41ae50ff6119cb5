# As heads-flat, but from the vectors that MoveNet ends with.
_base_ = ['./spm_movenet-multipose_heads-flat_1xb8-1e_coco_mini-256x256.py']
load_from = 'data/pretrained/movenet-multipose.pth'

# optimizer
optim_wrapper = dict(optimizer=dict(lr=1e-4))
