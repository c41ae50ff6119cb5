"""mmpose's names of the NMS of poses."""

import math


def choose_nms(
    nms: dict | None, nms_mode: str | None, nms_thr: float | None
) -> dict | None:
    """The NMS that a metric's arguments, ours or mmpose's, ask for.

    Args:
        nms (dict, optional): Config of an NMS of the registry.
        nms_mode (str, optional): ``'oks_nms'``, ``'soft_oks_nms'`` or
            ``'none'``, in its place.
        nms_thr (float, optional): Of ``nms_mode``; None stands for 0.9.

    Returns:
        dict | None: The config, None for no NMS.

    Raises:
        ValueError: If both are given, or ``nms_mode`` is unknown, or
            ``nms_thr`` comes without it.
    """
    if nms_mode is None:
        if nms_thr is not None:
            raise ValueError(
                f'nms_thr={nms_thr} belongs to nms_mode: add '
                "nms_mode='oks_nms', or choose the NMS by "
                f"nms=dict(type='OKSNMS', thr={nms_thr})"
            )
        return nms
    if nms is not None:
        raise ValueError(
            f'both nms={nms} and nms_mode={nms_mode!r} choose an NMS: leave '
            'one of them out'
        )
    thr = 0.9 if nms_thr is None else nms_thr
    found = dict(
        oks_nms=dict(type='OKSNMS', thr=thr),
        # mmpose's keeps 20 poses, and the scores as they were
        soft_oks_nms=dict(
            type='SoftOKSNMS',
            sigma=thr,
            min_score=-math.inf,
            max_dets=20,
            keep_scores=True,
        ),
        none=None,
    )
    if nms_mode not in found:
        raise ValueError(
            f'nms_mode must be one of {", ".join(found)}: {nms_mode!r}'
        )
    return found[nms_mode]
