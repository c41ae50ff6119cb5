"""What decides the outcome of a training or test run."""

import hashlib
import json
import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .command_line import apply_options, read_config_file


def read_config(
    config: str | os.PathLike, options: Mapping[str, Any]
) -> Config:
    """Read a config and apply options as the tools do.

    Args:
        config (str | PathLike): The file.
        options (mapping): Settings that override it, by dotted key.

    Returns:
        Config: The config.

    Raises:
        ConfigError: The file is missing or cannot be read, or an option
            names a place that the config does not have.
    """
    cfg = read_config_file(config)
    apply_options(cfg, Namespace(cfg_options=dict(options)))
    return cfg


def find_inputs(
    config: str | os.PathLike, options: Mapping[str, Any]
) -> dict[str, str]:
    """Return hashes of what decides a run's outcome.

    These are the settings, and the content of all files that they name:
    annotations, detections, weights. Images, and the code, are left out. The
    run's own folder and the place of the weights make no difference.

    Args:
        config (str | PathLike): The config.
        options (mapping): Settings that override it, by dotted key.

    Returns:
        dict: ``config``, ``load_from`` if there are weights, and each file's
        path, to the first 16 hexadecimal digits of a SHA-256.

    Raises:
        ConfigError: See :func:`read_config`.
    """
    content = read_config(config, options).to_dict()
    content.pop('work_dir', None)
    weights = content.pop('load_from', None)
    text = json.dumps(content, sort_keys=True, default=str)
    inputs = {'config': _digest(text.encode())}
    if weights is not None:
        known = os.path.isfile(weights)
        inputs['load_from'] = _digest_file(weights) if known else weights
    for path in sorted(set(_files_in(content))):
        inputs[path] = _digest_file(path)
    return inputs


def find_coco_metric(cfg: Config) -> tuple[str, dict]:
    """Find the COCO metric among the test evaluators.

    Args:
        cfg (Config): The config.

    Returns:
        tuple: Its place, as an option names it, and its settings; both empty
        if there is none.
    """
    evaluators = cfg.get('test_evaluator') or []
    single = isinstance(evaluators, dict)
    for index, metric in enumerate([evaluators] if single else evaluators):
        kind = metric.get('type', '')
        kind = kind if isinstance(kind, str) else kind.__name__
        if kind.endswith('CocoMetric'):
            return f'test_evaluator{"" if single else f".{index}"}', metric
    return '', {}


def _files_in(node: Any, data_root: str | None = None) -> Iterator[str]:
    """The files that a part of a config names."""
    if isinstance(node, str):
        path = os.path.join(data_root or '', node)
        if os.path.isfile(path):
            yield path
    elif isinstance(node, dict):
        for value in node.values():
            yield from _files_in(value, node.get('data_root'))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _files_in(value, data_root)


def _digest_file(path: str) -> str:
    return _digest(Path(path).read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
