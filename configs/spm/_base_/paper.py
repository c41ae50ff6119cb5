# SPM in the paper's form. The leaf configs take these pieces by name:
# `_base_.paper.<name>`.
paper = dict(
    # all displacements at the root, a joint without its parent is left out, no
    # heatmaps of the joints
    codec=dict(
        displacement_location='root',
        missing_parent='skip',
        generate_keypoint_heatmaps=False),
    head=dict(keypoint_heatmaps=False, beta=0.01),
    test_cfg=dict(flip_test=True, nms_dist_thr=0.05, max_num_people=30),
    # 8 hourglasses with a loss after each one, PPN's optimiser
    hourglass=dict(type='StackedHourglass', num_stacks=8),
    hourglass_head=dict(
        type='SPMHead', in_channels=256, num_stages=8, feedback=True),
    optimizer=dict(type='RMSprop', lr=2.5e-3))
