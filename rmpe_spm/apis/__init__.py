"""What users and the command-line tools call."""

from .annotation_check import ConfigError
from .preflight import check_data, check_model
from .redundant_poses import suppress_redundant_poses
from .tool_errors import told_plainly

__all__ = [
    'ConfigError',
    'check_data',
    'check_model',
    'suppress_redundant_poses',
    'told_plainly',
]
