"""mmpose's description of MPII's joints, for the 14 that are evaluated."""

from ..structures.mpii_joints import MPII14

# in the place of the links to pelvis and thorax
_TORSO = (
    ('right_shoulder', 'right_hip'),
    ('left_shoulder', 'left_hip'),
    ('right_hip', 'left_hip'),
)
_TORSO_COLOR = (51, 153, 255)


def mpii14_metainfo(parsed: dict) -> dict:
    """Take pelvis and thorax out of the description of 16 joints.

    Args:
        parsed (dict): mmpose's parsed metainfo of MPII.

    Returns:
        dict: Metainfo for mmpose to parse.
    """
    names = parsed['keypoint_id2name']
    links = [
        ((names[a], names[b]), color.tolist())
        for (a, b), color in zip(
            parsed['skeleton_links'],
            parsed['skeleton_link_colors'],
            strict=True,
        )
        if names[a] in MPII14 and names[b] in MPII14
    ]
    links += [(link, list(_TORSO_COLOR)) for link in _TORSO]
    keypoint_info, weights, sigmas = {}, [], []
    for new, name in enumerate(MPII14):
        old = parsed['keypoint_name2id'][name]
        partner = names[parsed['flip_indices'][old]]
        keypoint_info[new] = dict(
            name=name,
            id=new,
            color=parsed['keypoint_colors'][old].tolist(),
            type='upper' if old in parsed['upper_body_ids'] else 'lower',
            swap='' if partner == name else partner,
        )
        weights.append(float(parsed['dataset_keypoint_weights'][old]))
        sigmas.append(float(parsed['sigmas'][old]))
    return dict(
        dataset_name=parsed['dataset_name'],
        keypoint_info=keypoint_info,
        skeleton_info={
            index: dict(link=link, id=index, color=color)
            for index, (link, color) in enumerate(links)
        },
        joint_weights=weights,
        sigmas=sigmas,
    )
