"""What users and the command-line tools call."""

from .annotation_check import ConfigError
from .config_check import check_training
from .data_check import check_data
from .model_check import check_model
from .redundant_poses import suppress_redundant_poses
from .tool_errors import told_plainly
from .weights_check import check_initial_weights, check_weights

__all__ = [
    'ConfigError',
    'check_data',
    'check_initial_weights',
    'check_model',
    'check_training',
    'check_weights',
    'suppress_redundant_poses',
    'told_plainly',
]
