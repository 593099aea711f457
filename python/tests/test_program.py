"""The program that the package runs: missing, broken, another one, or not to be started."""

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import refcow
from refcow import measuring, program


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """What is run in the program's place: a file with this text."""

    def make(text):
        file = tmp_path / "refcow"
        file.write_text(text)
        file.chmod(0o755)
        monkeypatch.setattr(program, "path", lambda: str(file))

    return make


@pytest.mark.parametrize(
    "printed, why",
    [
        ("hello", "is another program of that name, or broken"),
        ("[]", "is another program of that name, or broken"),
        ('{"schema_version": 4, "runs": []}', "writes schema_version 4, and this package reads 3: install both from one wheel"),
        ('{"schema_version": 3, "runs": []}', "holds no run"),
    ],
)
def test_a_program_that_says_something_else_is_named(stand_in, printed, why):
    stand_in(f"#!/bin/sh\necho '{printed}'\n")
    with pytest.raises(refcow.Error, match=why) as caught:
        refcow.measure("ints")
    assert not isinstance(caught.value, refcow.Unavailable)


def test_a_program_of_another_architecture_cannot_be_used_here(stand_in):
    stand_in("\x7fELF")
    for use in (lambda: refcow.measure("ints"), refcow.tree):
        with pytest.raises(refcow.Unavailable, match=f"cannot be started: {os.strerror(errno.ENOEXEC)}: .*refcow$"):
            use()


def test_where_trees_cannot_be_seen_the_reason_is_that_nothing_can_be_measured(stand_in):
    stand_in("#!/bin/sh\necho error: no $1 here >&2; exit 3\n")
    with pytest.raises(refcow.Unavailable, match="error: no calibrate here"):
        refcow.tree()


def test_a_process_without_a_tree_is_said():
    with pytest.raises(refcow.Error, match="999999999") as caught:
        refcow.tree(999_999_999)
    assert not isinstance(caught.value, refcow.Unavailable)


@pytest.mark.parametrize(
    "options, why",
    [
        ({"folder": "nowhere"}, "nowhere is no folder"),
        ({"arguments": "-v x"}, r"give arguments='-v x' as a list of words, such as \['-v', 'x'\]"),
        ({"text": "a\0b"}, "can be words of a command line: embedded null byte"),
        ({"text": "x" * 1_000_000}, "too long for the command line of a process"),
        ({"path": "-.py"}, r"cannot read \./-\.py|-\.py"),
        ({"children": -1}, "invalid value '-1' for '--children"),
        ({"timeout": float("nan")}, "invalid value 'nan' for '--timeout"),
        ({"timeout": -1}, "invalid value '-1' for '--timeout"),
        ({"python": "3.99"}, "3.99"),
    ],
)
def test_words_that_no_process_can_be_given_are_refused(options, why):
    with pytest.raises(refcow.Error, match=why):
        refcow.measure(options.pop("path", "ints"), **options)


def test_sizes_are_numbers():
    assert measuring._literal("size", refcow.MiB(1), False) == "1048576"


FORKED = """
import refcow
refcow.measure("{file}", visit="one")
"""
WAITS = """
import os, signal
def build():
    # Open for as long as this process lives.
    os.open("{fifo}", os.O_WRONLY)
    signal.pause()
def visit_one(data):
    return None
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_measured_ends_with_the_program_that_asked(tmp_path, how):
    fifo, file = tmp_path / "fifo", tmp_path / "waits.py"
    os.mkfifo(fifo)
    file.write_text(WAITS.format(fifo=fifo))
    asks = subprocess.Popen([sys.executable, "-c", FORKED.format(file=file)])
    alive = os.open(fifo, os.O_RDONLY)
    try:
        refcows = Path(f"/proc/{asks.pid}/task/{asks.pid}/children").read_text().split()
        asks.send_signal(how)
        asks.wait()
        # The end of the file: no process has it open any more. So long is longer than a refcow needs that was told.
        assert select.select([alive], [], [], 60)[0], "it still runs"
        assert os.read(alive, 1) == b""
    finally:
        os.close(alive)
        asks.kill()
        for refcow_of_it in refcows:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(refcow_of_it), signal.SIGKILL)
