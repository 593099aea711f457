"""Builds the wheel, for pip and `python -m build`: maturin's backend, with the tag that is true.

maturin tags a wheel for the interpreter that builds it, as the measured program is made with PyO3. But it is linked with no
libpython: one build serves every CPython from 3.8 on.
"""

import os
import subprocess
import sys

import maturin
from maturin import (  # noqa: F401
    build_sdist,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel,
)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    arguments = os.environ.get("MATURIN_PEP517_ARGS", "")
    if "--compatibility" not in arguments and "--manylinux" not in arguments:
        # By the symbols of glibc that the programs want: the least that has them.
        os.environ["MATURIN_PEP517_ARGS"] = f"{arguments} --compatibility pypi".strip()
    name = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    tags = [sys.executable, "-m", "wheel", "tags", "--remove", "--python-tag", "py3", "--abi-tag", "none"]
    made = subprocess.run([*tags, os.path.join(wheel_directory, name)], stdout=subprocess.PIPE, check=True)
    return made.stdout.decode().strip().splitlines()[-1]
