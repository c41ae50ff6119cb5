# SSTN at the feature level: it takes the place of the head, with no wrapper.
_base_ = ['./pgpg_hrnet-w32_8xb64-30e_coco-256x192.py']

model = dict(head=dict(_delete_=True, type='SSTNHead', in_channels=32, pool_size=(3, 4), head=_base_.model.head))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(theta_fc=dict(lr_mult=0.1))))
