"""Packaging of rmpe_spm: RMPE and SPM for MMPose."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r"^__version__ = '(.+)'$",
    (ROOT / 'rmpe_spm' / 'version.py').read_text(encoding='utf-8'),
    re.MULTILINE,
).group(1)

setup(
    name='rmpe-spm',
    version=VERSION,
    description='RMPE and SPM multi-person pose estimation for MMPose',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['rmpe_spm', 'rmpe_spm.*']),
    package_data={'rmpe_spm.leaderboard': ['page.html']},
    python_requires='>=3.10,<3.13',
    classifiers=[
        'Development Status :: 4 - Beta',
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
