"""The command line of the tools, and what it makes of a config."""

import argparse
import ast
import os
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import Registry

from ..errors import ConfigError


class OptionAction(DictAction):
    """Argparse action for ``key=value`` settings, as mmengine's.

    A value in Python's own form is what it says, ``"work_dir='my runs, 2'"``,
    and one with blanks but no comma or bracket is kept as it is.
    """

    def __call__(self, parser, namespace, values, option_string=None):
        """Read the settings; what is none is refused by its name."""
        for text in values:
            if '=' not in text:
                message = f'{text!r} is no key=value'
                raise argparse.ArgumentError(self, message)
        super().__call__(parser, namespace, values, option_string)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        try:
            value = ast.literal_eval(val.strip())
        except (ValueError, SyntaxError):
            plain = ' ' in val and not set(val) & set(',[]()')
            return val if plain else DictAction._parse_iterable(val)
        is_list = isinstance(value, tuple) and not val.strip().startswith('(')
        return list(value) if is_list else value


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Write settings by dotted key as :class:`OptionAction` reads them."""
    return [f'{key}={_as_text(value)}' for key, value in options.items()]


def _as_text(value: Any) -> str:
    value = str(value) if isinstance(value, os.PathLike) else value
    plain = isinstance(value, str) and not set(value) & set(',[]()\'"')
    if plain and OptionAction._parse_iterable(value) == value:
        return value
    return repr(list(value) if isinstance(value, tuple) else value)


def add_cfg_options(parser: argparse.ArgumentParser, configs: str) -> None:
    """Add ``--cfg-options``; ``configs`` says what they override."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        help=f'settings that override {configs}, as key=value: '
        'model.backbone.depth=18 or key="[a,b]" or key=a,b; quotes are '
        'needed around brackets, without blanks, and twice around a text '
        'with a comma: "key=\'a, b\'"',
    )


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every tool that runs configs."""
    parser.add_argument('--work-dir', help='where logs and results go')
    add_cfg_options(parser, 'the config')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes',
    )
    # torch.distributed.launch gives the one with the dash
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of mmpose's tools that train and test share."""
    add_launch_arguments(parser)
    parser.add_argument('--show-dir', help='where drawn predictions go')
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window'
    )
    parser.add_argument(
        '--interval',
        type=int,
        default=1,
        help='while training, draw every so many samples; a test draws all',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=1,
        help='seconds that a window stays',
    )


def read_config_file(path: str | os.PathLike) -> Config:
    """Read a config; a ConfigError says why it cannot be read."""
    if not Path(path).is_file():
        raise ConfigError(f'the config {path} does not exist')
    try:
        return Config.fromfile(path)
    except (SyntaxError, KeyError, OSError, ImportError) as error:
        # str() of a KeyError is quoted, args of an OSError are its parts
        text = error.args[0] if isinstance(error, KeyError) else error
        raise ConfigError(
            f'the config {path} cannot be read: {text}'
        ) from error


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the arguments that all tools share to it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config_file(args.config)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def apply_drawing(cfg: Config, args: argparse.Namespace) -> None:
    """Turn the drawing of predictions on where it is asked for."""
    if args.show or args.show_dir is not None:
        hook = require_hook(cfg, 'visualization', 'PoseVisualizationHook')
        hook.update(
            enable=True,
            show=args.show,
            out_dir=args.show_dir,
            interval=args.interval,
        )
        if args.show:
            hook.wait_time = args.wait_time


def require_hook(cfg: Config, name: str, kind: str) -> dict:
    """Return a config's default hook, or suggest one of a kind."""
    hooks = cfg.get('default_hooks') or {}
    if name not in hooks:
        raise ConfigError(
            f'the config has no default_hooks.{name}: add '
            f"default_hooks=dict({name}=dict(type='{kind}'))"
        )
    return hooks[name]


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Apply ``--cfg-options`` to the config.

    A new ``data_root`` replaces the old one wherever a path begins with it,
    since a config has used it up by the time that it is read; likewise a
    changed ``codec`` takes the old one's place wherever that stands.

    Raises:
        ConfigError: An option names a place that the config does not have.
    """
    options = dict(args.cfg_options or {})
    old, new = cfg.get('data_root'), options.get('data_root')
    if old and new:
        if old.endswith('/'):
            new = options['data_root'] = new.rstrip('/') + '/'

        def moved(node: Any) -> Any:
            inside = isinstance(node, str) and node.startswith(old)
            return new + node[len(old) :] if inside else node

        _replace(cfg, moved)
    codec = {k: v for k, v in options.items() if k.split('.')[0] == 'codec'}
    try:
        if codec and isinstance(cfg.get('codec'), dict):
            old_codec = _without_scope(cfg.codec)
            cfg.merge_from_dict(codec)
            new_codec = deepcopy(cfg.codec)

            def changed(node: Any) -> Any:
                if (
                    isinstance(node, dict)
                    and _without_scope(node) == old_codec
                ):
                    return deepcopy(new_codec)
                return node

            _replace(cfg, changed)
        # after that, so that an option may still change one place alone
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f'--cfg-options: {error.args[0]}') from error
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name) or {}
        if loader.get('num_workers') == 0:
            # what never starts cannot go on
            loader['persistent_workers'] = False


def _replace(node: Any, change: Callable[[Any], Any]) -> Any:
    """Put what ``change`` returns in the place of a part, or of its parts."""
    changed = change(node)
    if changed is not node:
        return changed
    if isinstance(node, dict | Config):
        # in place, for the type of the dict and what hangs on it
        for key, value in list(node.items()):
            node[key] = _replace(value, change)
    elif isinstance(node, list | tuple):
        return type(node)(_replace(item, change) for item in node)
    return node


def _without_scope(node: dict) -> dict:
    """Leave out what mmengine adds to dicts of another package's config."""
    return {
        key: deepcopy(value) for key, value in node.items() if key != '_scope_'
    }


def config_parts(
    node: object, where: str, *names: str
) -> Iterator[tuple[str, Mapping]]:
    """Yield a part of a config and those under some names in it, by key."""
    if isinstance(node, list | tuple):
        for index, inner in enumerate(node):
            yield from config_parts(inner, f'{where}.{index}', *names)
    elif isinstance(node, Mapping):
        yield where, node
        for name in names:
            yield from config_parts(node.get(name), f'{where}.{name}', *names)


def is_a(kind: str | type | None, registry: Registry, base: type) -> bool:
    """Whether a type in a config is registered, and of a class."""
    kind = registry.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, base)


def launched_rank(launcher: str) -> int:
    """The number that a launcher gave this process before it joins others."""
    names = dict(
        pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK'
    )
    return int(os.environ.get(names.get(launcher, ''), 0))


def join_cpu_processes(cfg: Config) -> None:
    """Join the processes of a launcher by gloo where there is no GPU."""
    if cfg.launcher != 'pytorch' or torch.cuda.is_available():
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper.update(cfg.get('model_wrapper_cfg') or {}, device_ids=None)
    cfg.model_wrapper_cfg = wrapper
