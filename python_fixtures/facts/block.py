"""What it takes to fill a block of `multiprocessing.shared_memory`, and
what becomes of the block when processes end.

Each end is awaited, not slept for: a resource tracker inherits the standard
error of whoever starts it, so that a pipe there is at its end when both are
gone.
"""
import errno
import os
import secrets
import signal
import subprocess
import sys
import time
from multiprocessing import get_context, resource_tracker, shared_memory

# By this name whoever started this process finds what it left, should it be killed.
PREFIX = os.environ["REFCOW_SUBJECT"] + "-"

WRITTEN = 42

READ_AND_END = """
import sys
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(name=sys.argv[1]{track})
block.buf[0]
block.close()
"""

CREATE_AND_BE_KILLED = """
import os, signal, sys
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(name=sys.argv[1], create=True, size=4096)
os.write(1, b"created")
os.kill(os.getpid(), signal.SIGKILL)
"""


def new_name():
    """A name that no other block has."""
    return PREFIX + secrets.token_hex(4)


def exists(name):
    """Whether a block has this name now, asked of the system: attaching to
    it would register it with this process's own resource tracker.
    """
    return os.path.exists("/dev/shm/" + name)


def remove(block):
    """Closes and unlinks a block, whoever has unlinked it before."""
    block.close()
    try:
        block.unlink()
    except FileNotFoundError:
        resource_tracker.unregister(block._name, "shared_memory")


def check_room(size):
    """Raises OSError (ENOSPC) where /dev/shm has no room for a block: the
    first write to memory that is not there would end in SIGBUS. Reserving
    the memory would take time that nobody else takes to fill a block.
    """
    there = os.statvfs("/dev/shm")
    free = there.f_bavail * there.f_frsize
    if free < size:
        raise OSError(errno.ENOSPC, "a block of {} bytes does not fit: {} are free".format(size, free), "/dev/shm")


def copy_into_block(size):
    """Fills a new block from bytes that are there already."""
    check_room(size)
    content = bytes(range(256)) * (size // 256 + 1)
    content = memoryview(content)[:size]
    start = time.perf_counter()
    block = shared_memory.SharedMemory(name=new_name(), create=True, size=size)
    try:
        block.buf[:size] = content
        first = time.perf_counter() - start
        start = time.perf_counter()
        block.buf[:size] = content
        again = time.perf_counter() - start
        same = block.buf[:size] == content
    finally:
        remove(block)
    return {
        "copied_bytes": size if same else 0,
        # The first copy also has the kernel find memory for the block.
        "copy_seconds": first,
        "copy_again_seconds": again,
        "gone_after_unlink": not exists(block.name),
    }


def attach_and_be_killed(name):
    """In a child: attaches by name and dies without any clean-up."""
    block = shared_memory.SharedMemory(name=name)
    block.buf[0] = 7
    os.kill(os.getpid(), signal.SIGKILL)


def attach_and_exit(name):
    """In a child: attaches by name and ends as a child should."""
    block = shared_memory.SharedMemory(name=name)
    block.buf[0] = 8
    block.close()


def write(name):
    """In a child: writes a byte that nobody else does."""
    block = shared_memory.SharedMemory(name=name)
    block.buf[0] = WRITTEN
    block.close()


def tell(name):
    """In a child: ends with the first byte as its status."""
    block = shared_memory.SharedMemory(name=name)
    status = block.buf[0]
    block.close()
    sys.exit(status)


def child_writes():
    """Whether the parent, and a child that attaches by name, read what
    another child has written.
    """
    context = get_context("fork")
    block = shared_memory.SharedMemory(name=new_name(), create=True, size=4096)
    try:
        statuses = []
        for work in (tell, write, tell):
            child = context.Process(target=work, args=(block.name,))
            child.start()
            child.join()
            statuses.append(child.exitcode)
        before, writer, after = statuses
        if min(statuses) < 0 or writer != 0:
            raise RuntimeError("children that attach to a block ended with {}".format(statuses))
        return block.buf[0] == WRITTEN, before == 0 and after == WRITTEN
    finally:
        remove(block)


def child_ends(work, status):
    """Whether a block that a child wrote into is there when the child has
    ended, with this status. The child is one of multiprocessing's.
    """
    block = shared_memory.SharedMemory(name=new_name(), create=True, size=4096)
    try:
        child = get_context("fork").Process(target=work, args=(block.name,))
        child.start()
        child.join()
        # This process has the block mapped, whatever has become of its name.
        if child.exitcode != status or block.buf[0] not in (7, 8):
            raise RuntimeError("a child that attaches to a block ended with {} too soon".format(child.exitcode))
        return exists(block.name)
    finally:
        remove(block)


def python(code, *arguments):
    """Runs a program that is no child of multiprocessing's, with its
    resource tracker, to the end of both; its status, output and errors.
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def unrelated_reader_ends(track):
    """Whether a block is there when a process has ended that only attached
    to it, read a byte and closed it.
    """
    block = shared_memory.SharedMemory(name=new_name(), create=True, size=4096)
    try:
        status, _, errors = python(READ_AND_END.format(track=track), block.name)
        if status != 0:
            raise RuntimeError("cannot attach to a block (status {}): {}".format(status, errors))
        return exists(block.name)
    finally:
        remove(block)


def killed_owner_ends():
    """Whether a block is there when its owner was killed and the owner's
    resource tracker is gone too.
    """
    name = new_name()
    _, output, errors = python(CREATE_AND_BE_KILLED, name)
    if output != b"created":
        raise RuntimeError("cannot create a block: " + errors)
    left = exists(name)
    if left:
        os.unlink("/dev/shm/" + name)
    return left


def observe(size):
    """All of it."""
    # A tracker that outlives a killed refcow has nobody to warn.
    os.environ["PYTHONWARNINGS"] = "ignore"
    # Before any child: each then has this process's tracker, as children of multiprocessing do.
    resource_tracker.ensure_running()
    result = copy_into_block(size)
    result["write_seen_by_parent"], result["write_seen_by_sibling"] = child_writes()
    result["outlives_killed_child"] = child_ends(attach_and_be_killed, -signal.SIGKILL)
    result["outlives_child_that_exits"] = child_ends(attach_and_exit, 0)
    result["outlives_unrelated_reader"] = unrelated_reader_ends("")
    if sys.version_info >= (3, 13):
        result["outlives_unrelated_reader_untracked"] = unrelated_reader_ends(", track=False")
    result["outlives_killed_owner"] = killed_owner_ends()
    return result
