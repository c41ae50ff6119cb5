# Stage 2 with a loss on theta itself, an addition to the paper, and a shallower
# localizer (docs/results/rmpe.md).
_base_ = ['./rmpe_mobilenetv2_1xb16-1e_generated-128x96.py']

# model settings: more cells tell where the person is
model = dict(
    localizer=dict(out_indices=(4, )),
    localizer_size=(64, 64),
    sstn=dict(
        in_channels=96,
        pool_size=(4, 4),
        theta_loss=dict(type='ThetaCornerLoss')))
