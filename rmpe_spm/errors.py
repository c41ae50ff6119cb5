"""Errors that the user can mend.

The tools print their message without a traceback and end with exit code 2
(:mod:`rmpe_spm.cli.error_messages`).
"""


class ConfigError(ValueError):
    """A set-up that cannot work.

    The message says what is wrong, where (a file, an image id, a config key)
    and what to do.
    """


class RunFailedError(RuntimeError):
    """A training or test, in a process of its own, ended with an error.

    The message has the end of its log, and names it.
    """


class UnsafeCheckpointError(ValueError):
    """A checkpoint carries something that could run code.

    The message names it. A class of your own is allowed with
    ``torch.serialization.add_safe_globals``.
    """


class CorruptCheckpointError(ValueError):
    """A checkpoint is truncated, holds weights that are NaN, or is none.

    The message names the newest one beside it that loads.
    """
