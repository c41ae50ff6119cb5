"""What pyproject.toml cannot say: the wheel carries what mim looks for."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithMim(build_py):
    """Put the configs, the tools and their index into ``rmpe_spm/.mim``."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        root = Path(__file__).resolve().parent
        target = Path(self.build_lib, 'rmpe_spm', '.mim')
        for name in ('configs', 'tools'):
            shutil.copytree(
                root / name,
                target / name,
                ignore=shutil.ignore_patterns('__pycache__'),
                dirs_exist_ok=True,
            )
        shutil.copy(root / 'model-index.yml', target)


setup(cmdclass=dict(build_py=BuildWithMim))
