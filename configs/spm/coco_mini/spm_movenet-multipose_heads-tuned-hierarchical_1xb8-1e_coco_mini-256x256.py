# As heads-hierarchical, but from MoveNet's vectors, mapped to those between joints.
_base_ = ['./spm_movenet-multipose_heads-hierarchical_1xb8-1e_coco_mini-256x256.py']
load_from = 'data/pretrained/movenet-multipose_coco.pth'

# optimizer
optim_wrapper = dict(optimizer=dict(lr=1e-4))
