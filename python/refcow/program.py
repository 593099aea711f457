"""The program `refcow`: where it is, and what it says."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from typing import Optional, Sequence


class Error(Exception):
    """refcow could not do it. The text is its own: what, where, and what to do."""


class Unavailable(Error):
    """It cannot be done on this machine, or with this Python, whatever is measured."""


def path() -> str:
    """The program that was installed with this package, else the one on PATH."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(f"refcow needs Linux, and this is {sys.platform}")
    try:
        files = importlib.metadata.files("refcow") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "refcow" and file.parent.name == "bin":
            program = os.fspath(file.locate())
            if os.access(program, os.X_OK):
                return os.path.normpath(program)
    found = shutil.which("refcow")
    if found is None:
        raise Unavailable("the program refcow is neither installed with the package refcow nor on PATH")
    return found


def run(words: Sequence[str], cwd: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
    """What the program prints to these words, and its exit status."""
    return subprocess.run(
        [path(), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        cwd=cwd,
    )


def output(words: Sequence[str], cwd: Optional[str] = None) -> str:
    """What it prints.

    Raises `Error` with what it says instead, unless its exit status is 0.
    """
    ran = run(words, cwd)
    if ran.returncode != 0:
        raise Error(ran.stderr.strip() or f"refcow ended with status {ran.returncode}")
    return ran.stdout


def require(python: str) -> None:
    """Raises `Unavailable` if nothing can be measured with this interpreter here: refcow checks itself with it."""
    ran = run(["calibrate", "--python", python])
    if ran.returncode != 0:
        raise Unavailable(ran.stderr.strip())
