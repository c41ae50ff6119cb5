"""``python -m rmpe_spm``: see ``rmpe_spm.inference.command_line``."""

import sys

from .inference.command_line import main

if __name__ == '__main__':
    sys.exit(main())
