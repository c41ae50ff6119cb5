"""Learned parameters of the pose NMS as a file."""

import json
import math
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Union

from .pose_nms_rule import PoseNMSRule, make_rule

FORMAT = 'rmpe_spm.pose_nms'
VERSION = 1


def save_rule(
    path: Union[str, PathLike], rule: PoseNMSRule, provenance: dict[str, Any]
) -> None:
    """Write a rule with what it was learned from.

    Args:
        path (str | PathLike): The JSON file; its folder is made if needed.
        rule (PoseNMSRule): The parameters. Infinite ones are written as
            null.
        provenance (dict): Where they come from: data, command, date,
            counts.
    """
    parameters = {
        name: None if value == math.inf else value
        for name, value in asdict(rule).items()
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(
        format=FORMAT,
        version=VERSION,
        provenance=provenance,
        parameters=parameters,
    )
    path.write_text(json.dumps(content, indent=2) + '\n')


def load_rule(path: Union[str, PathLike]) -> PoseNMSRule:
    """Read a rule written by :func:`save_rule`.

    Args:
        path (str | PathLike): The JSON file.

    Returns:
        PoseNMSRule: The validated parameters.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, of a later version, or has a
            value that is out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no file of pose NMS parameters at {path}; '
            'tools/learn_pose_nms.py writes one'
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is not a JSON file: {error}') from error
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise ValueError(
            f'{path} has no pose NMS parameters: its "format" is not '
            f'{FORMAT!r}'
        )
    if content.get('version') != VERSION:
        raise ValueError(
            f'{path} has version {content.get("version")!r} of the format, '
            f'but this package reads version {VERSION}'
        )
    parameters = content.get('parameters')
    if not isinstance(parameters, dict):
        raise ValueError(f'{path} lacks its "parameters"')
    parameters = dict(parameters)
    for name in ('match_cap', 'merge_cap'):
        if name in parameters and parameters[name] is None:
            parameters[name] = math.inf
    try:
        return make_rule(**parameters)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path}: {error}') from error
