"""Pipelines whose steps don't go together are found before the run."""

import pytest

from rmpe_spm.cli.pipeline_checks import check_center_target, check_switch
from rmpe_spm.errors import ConfigError


def steps(crop='TopdownAffine', udp=False, padding=1.25, **center):
    return [
        dict(type='PGPGTransform'),
        dict(type='mmpose.GetBBoxCenterScale', padding=padding),
        dict(type=crop, use_udp=udp),
        dict(center, type='GenerateCenterTarget'),
    ]


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(udp=True), r'x\.3: .* use_udp=False, but TopdownAffine at x\.2'),
        (dict(use_udp=True, crop='TopdownContextAffine'), 'TopdownContextAff'),
        (dict(padding=1.5), r'padding=1.25, but GetBBoxCenterScale .*=1\.5'),
        (dict(udp=True, use_udp=True, padding=1.25), None),
    ],
)
def test_a_center_target_in_another_frame(given, message):
    pipeline = steps(**given)
    if message is None:
        check_center_target(pipeline, 'x')
        check_center_target(pipeline[:-1], 'x')
        return
    with pytest.raises(ConfigError, match=message):
        check_center_target(pipeline, 'x')


def test_a_switch_that_drops_steps():
    hook = dict(type='mmdet.PipelineSwitchHook', switch_epoch=20)
    hooks = [dict(type='EMAHook'), dict(hook, switch_pipeline=steps()[1:-1])]
    check_switch(steps()[1:3], hooks, 30)  # plain before and after
    check_switch(steps(), hooks, 20)  # never switches
    message = r'hooks\.1\..* lacks GenerateCenterTarget, PGPGTransform, .* 20 '
    with pytest.raises(ConfigError, match=message):
        check_switch(steps(), hooks, 30)
    hooks[1]['switch_pipeline'] = steps(udp=True)
    with pytest.raises(ConfigError, match='another frame'):
        check_switch(steps(), hooks, 30)
