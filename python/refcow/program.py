"""The program `refcow`: where it is, and what it says."""

import errno
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, Optional, Sequence


RUNS, TREES = 3, 1
"""The versions of its JSON that this package reads: of runs and comparisons, and of trees."""


class Error(Exception):
    """refcow could not do it. The text is its own: what, where, and what to do."""


class Unavailable(Error):
    """It cannot be done on this machine, or with this Python, whatever is measured."""


def hides(info: Any) -> bool:
    """Whether pytest leaves frames of this package out, as `__tracebackhide__`: what failed is the test."""
    return info is not None and isinstance(info.value, (Error, AssertionError))


__tracebackhide__ = hides


def path() -> str:
    """The program that was installed with this package, else the one on PATH."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(f"refcow needs Linux, and this is {sys.platform}")
    try:
        files = importlib.metadata.files("refcow") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    # `pip install --target` lists another place than it takes.
    candidates = [os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin", "refcow")]
    for file in files:
        if file.name == "refcow" and file.parent.name == "bin":
            candidates.append(os.fspath(file.locate()))
    for program in candidates:
        if os.access(program, os.X_OK):
            return os.path.normpath(program)
    found = shutil.which("refcow")
    if found is None:
        raise Unavailable("the program refcow is neither installed with the package refcow nor on PATH")
    return found


def run(words: Sequence[str], cwd: Optional[str] = None) -> "subprocess.CompletedProcess[str]":
    """What the program prints to these words, and its exit status."""
    program = path()
    if cwd is not None and not os.path.isdir(cwd):
        raise Error(f"{os.fspath(cwd)} is no folder, and paths were to begin there")
    try:
        return subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            cwd=cwd,
            # It ends with this process, which may be killed while it waits here.
            env={**os.environ, "REFCOW_STARTED_BY": str(os.getpid())},
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise Error("the parameters are too long for the command line of a process: let `build` read them from a file") from None
        raise Unavailable(f"{program} cannot be started: {error.strerror}: {error.filename}") from None
    except ValueError as error:
        raise Error(f"not all of {words!r} can be words of a command line: {error}") from None


def output(words: Sequence[str], cwd: Optional[str] = None) -> str:
    """What it prints.

    Raises `Error` with what it says instead, unless its exit status is 0.
    """
    ran = run(words, cwd)
    if ran.returncode != 0:
        raise Error(ran.stderr.strip() or f"refcow ended with status {ran.returncode}")
    return ran.stdout


def document(text: str, known: int) -> Dict[str, Any]:
    """The JSON that it printed, if that is of the version that this package knows."""
    try:
        found = json.loads(text)
        version = found["schema_version"]
    except (KeyError, TypeError, ValueError):
        raise Error(f"{path()} is another program of that name, or broken: it printed no JSON of refcow") from None
    if version != known:
        raise Error(f"{path()} writes schema_version {version}, and this package reads {known}: install both from one wheel")
    return dict(found)


def require(python: str, named: bool = False) -> None:
    """Raises `Unavailable` if nothing can be measured with this interpreter here: refcow checks itself with it.

    `named`: the caller has chosen it. If it is not there, or no CPython, that is an `Error`.
    """
    ran = run(["calibrate", f"--python={python}"])
    if ran.returncode == 2 and named:
        raise Error(ran.stderr.strip())
    if ran.returncode != 0:
        raise Unavailable(ran.stderr.strip())
