# Of half the size: the paper's parallel SPPE.
_base_ = ['./td-hm_hourglass8_8xb32-210e_coco-256x256.py']

model = dict(backbone=dict(num_stacks=4), head=dict(num_stages=4))
