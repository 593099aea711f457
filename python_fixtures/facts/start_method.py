"""How `multiprocessing` starts a child when it is not told, and what such a
child has of its parent's memory.

The parent makes a buffer and a list after the first child was started, as
programs do, and starts another child. That looks for them without being
given anything. While both wait, the parent asks its own page table which
pages of the two are still mapped by somebody else: `/proc/self/pagemap` says
so of one's own pages to everybody.

The same once more with `fork` asked for by name.

Pages that a memory allocator shares with other objects are not counted:
both buffers are large enough to have mappings of their own, and the first
and the last page are left out.
"""
import ctypes
import fcntl
import marshal
import mmap
import multiprocessing
import os
import sys
import tempfile

PAGE_BYTES = mmap.PAGESIZE
POINTER_BYTES = ctypes.sizeof(ctypes.c_void_p)
# Bits of an entry of /proc/PID/pagemap (the kernel's Documentation/admin-guide/mm/pagemap.rst).
EXCLUSIVE = 1 << 56
PRESENT = 1 << 63

# What the child finds, or not: the buffer, and the list.
DATA = []

# Also understood where this module cannot be imported.
CHILD = """
import ctypes, os, signal, sys
# PR_SET_PDEATHSIG (prctl(2)): a child that inherited the parent's end of the pipe would never see its end.
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
module = sys.modules.get(name)
data = getattr(module, "DATA", [])
conn.send({
    "parent": os.getppid(),
    "found": len(data) == 2,
    "addresses": [id(thing) for thing in data],
    "modules": module is not None,
})
conn.recv()
"""
BOOT = "import marshal\nexec(marshal.loads(code), globals())\n"


class List(ctypes.Structure):
    """The start of a `PyListObject` (the same in all builds with the GIL):
    there is no other way to learn where a list's array is.
    """

    _fields_ = [
        ("count", ctypes.c_ssize_t),
        ("type", ctypes.c_void_p),
        ("size", ctypes.c_ssize_t),
        ("items", ctypes.c_void_p),
    ]


def pages(address, size):
    """How many pages lie wholly in a range but for the first and the last,
    and how many of them another process has mapped too.
    """
    first = address // PAGE_BYTES + 1
    count = (address + size) // PAGE_BYTES - first - 1
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        entries = memoryview(os.pread(file.fileno(), 8 * count, 8 * first)).cast("Q")
    shared = sum(1 for entry in entries if entry & PRESENT and not entry & EXCLUSIVE)
    return len(entries), shared


def start(context, code):
    """A child of this kind, and what it says."""
    ours, theirs = context.Pipe()
    process = context.Process(target=exec, args=(BOOT, {"code": code, "conn": theirs, "name": __name__}))
    process.start()
    theirs.close()
    return process, ours, ours.recv()


def end(process, conn):
    """Lets a child go on to its end."""
    conn.send(None)
    process.join()
    conn.close()
    if process.exitcode != 0:
        raise RuntimeError("a child ended with {}".format(process.exitcode))


def look(context, size):
    """What a child of this kind has of data that its parent makes."""
    code = marshal.dumps(compile(CHILD, "start_method", "exec"))
    # The first start also starts what multiprocessing needs for itself.
    process, conn, _ = start(context, code)
    end(process, conn)
    block, places = bytearray(b"\1") * size, [None] * (size // POINTER_BYTES)
    DATA[:] = block, places
    try:
        process, conn, said = start(context, code)
        try:
            buffer = ctypes.addressof(ctypes.c_char.from_buffer(block))
            buffer_pages, buffer_shared = pages(buffer, size)
            items = List.from_address(id(places)).items
            list_pages, list_shared = pages(items, size)
        finally:
            end(process, conn)
        return {
            "child_of_this_process": said["parent"] == os.getpid(),
            "module_found": said["modules"],
            "data_found": said["found"],
            "same_addresses": said["addresses"] == [id(block), id(places)],
            "buffer_pages": buffer_pages,
            "buffer_pages_shared": buffer_shared,
            "list_pages": list_pages,
            "list_pages_shared": list_shared,
        }
    finally:
        del DATA[:]


def clean_up():
    """Ends the processes that multiprocessing has started for itself, and
    what it would do at exit.
    """
    from multiprocessing import forkserver, resource_tracker, util

    # Private, but there since 3.8, and used by the standard library's own tests.
    forkserver._forkserver._stop()
    util._run_finalizers()
    resource_tracker._resource_tracker._stop()


def observe(size=16 << 20):
    """All of it."""
    with tempfile.TemporaryDirectory(prefix=os.environ["REFCOW_SUBJECT"] + "-") as folder:
        # As long as somebody holds this lock, no other run takes the folder for what a dead one has left.
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
        # Where a fork server puts its socket.
        tempfile.tempdir = folder
        try:
            context = multiprocessing.get_context()
            result = {"start_method": context.get_start_method()}
            result["start_methods"] = ", ".join(multiprocessing.get_all_start_methods())
            result.update(look(context, size))
            by_fork = look(multiprocessing.get_context("fork"), size)
            result.update(("fork_" + key, value) for key, value in by_fork.items())
            return result
        finally:
            clean_up()
            tempfile.tempdir = None
