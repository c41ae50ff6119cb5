"""What RMPE's training needs of a pipeline, checked before the run."""

from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from ..rmpe.pgpg_model import load_proposal_model, torso_joints
from ..rmpe.pgpg_transform import find_model

RMPE_STEPS = ('PGPGTransform', 'GenerateCenterTarget')
# What GenerateCenterTarget repeats of other steps, and their default.
REPEATED = {
    'use_udp': (('TopdownAffine', 'TopdownContextAffine'), False),
    'padding': (('GetBBoxCenterScale',), 1.25),
}


def step_name(step: Mapping) -> str:
    """Return the name of a transform, without a registry's scope."""
    kind = step['type']
    return getattr(kind, '__name__', kind).rpartition('.')[2]


def check_center_target(pipeline: Sequence[Mapping], key: str) -> None:
    """Refuse a GenerateCenterTarget with another crop than its pipeline's."""
    names = [step_name(step) for step in pipeline]
    if 'GenerateCenterTarget' not in names:
        return
    index = names.index('GenerateCenterTarget')
    for option, (makers, default) in REPEATED.items():
        own = pipeline[index].get(option, default)
        for place, name in enumerate(names):
            given = pipeline[place].get(option, default)
            if name in makers and given != own:
                raise ConfigError(
                    f'{key}.{index}: GenerateCenterTarget has {option}={own}, '
                    f'but {name} at {key}.{place} has {option}={given}: the '
                    'centre target would be in another frame than the crop. '
                    'Give both the same'
                )


def check_switch(
    pipeline: Sequence[Mapping], hooks: Sequence[Mapping], max_epochs: int
) -> None:
    """Refuse a PipelineSwitchHook that drops PGPG or the centre target."""
    needed = {step_name(step) for step in pipeline} & set(RMPE_STEPS)
    for index, hook in enumerate(hooks):
        if step_name(hook) != 'PipelineSwitchHook':
            continue
        key = f'custom_hooks.{index}.switch_pipeline'
        names = {step_name(step) for step in hook['switch_pipeline']}
        if hook['switch_epoch'] < max_epochs and needed - names:
            raise ConfigError(
                f'{key} lacks {", ".join(sorted(needed - names))}, which the '
                f'training would lose at epoch {hook["switch_epoch"]} of '
                f'{max_epochs}: put it there, or leave the hook out'
            )
        check_center_target(hook['switch_pipeline'], key)


def check_proposals(model: str | None, names: list[str]) -> None:
    """Check that PGPG's file finds a torso where the data has it."""
    if model is None:
        return
    fitted = load_proposal_model(find_model(model)).keypoint_names
    if torso_joints(names) != torso_joints(fitted):
        raise ConfigError(
            f'{model} is fitted to people whose joints are '
            f'{", ".join(fitted)}, but those of the data set are '
            f'{", ".join(names)}: fit one for it with tools/fit_pgpg.py'
        )
