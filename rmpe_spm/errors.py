"""Errors that the user can mend."""


class ConfigError(ValueError):
    """A set-up that cannot work: what, where, and what to do."""


class RunFailedError(RuntimeError):
    """A run ended with an error; the message names its log."""


class UnsafeCheckpointError(ValueError):
    """A checkpoint carries something that could run code."""


class CorruptCheckpointError(ValueError):
    """A checkpoint is truncated, or no checkpoint at all."""
