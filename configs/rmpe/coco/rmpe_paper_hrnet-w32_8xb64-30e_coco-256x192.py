# Stage 2 as in the paper: theta is regressed from the last map, without bounds, and
# learns by the main loss and the centre loss, both through the pixels.
_base_ = ['./rmpe_hrnet-w32_8xb64-30e_coco-256x192.py']

model = dict(
    localizer=dict(out_indices=(7, )),
    sstn=dict(in_channels=1280, pool_size=(3, 4), bounds=None, detach_theta=False, theta_loss=None),
    parallel=dict(center_loss='paper'))
find_unused_parameters = False
