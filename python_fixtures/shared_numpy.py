"""Three NumPy arrays over `multiprocessing.shared_memory`.

They hold the bytes of the three lists. Each array has `count` rows of
`item_bytes` and lies over one segment. The data is a tuple of the three
arrays.

Expected, from CPython 3.8 to 3.15: no visit unshares any page of the
segments. They are shared mappings, which a fork does not copy on write, and
there is one Python object for each array, not one for each row: reference
counts are written in the few pages that hold these objects (`header`), and
rows are new objects of the child's own. `copy` makes a view. Reading, as
`pickle` does too, maps the segments into the child page by page: these are
faults, but not copies.

There is no `contains`: what NumPy compares are new objects, or nothing.
"""
import os
import secrets
from multiprocessing import shared_memory

import numpy

from _contents import rows
from _preparations import prepare_disable, prepare_freeze
from _visits import (
    visit_reference, visit_length, visit_index, visit_iterate, visit_random, visit_copy,
    visit_pickle, visit_collect, visit_allocate,
)

SHARING = "shared_memory"


class Segment(shared_memory.SharedMemory):
    """A shared mapping that ends with its process, not before.

    `SharedMemory.__del__` closes the mapping, which fails with a message on
    stderr as long as an array looks into it: at exit, that is always.
    """

    def __del__(self):
        pass


def segment(size):
    """Maps a new segment of `size` bytes, all of them reserved, that has no
    name any more.

    Children inherit the mapping. Without a name, nothing is left in
    /dev/shm however the processes end. Raises OSError (ENOSPC) where the
    segment does not fit: memory that is not reserved would be missed only
    at the first write, by SIGBUS.
    """
    # By this name whoever started this process finds what it left, should it
    # be killed before the name is gone. A plain script has no such name.
    name = "{}-{}".format(os.environ.get("REFCOW_SUBJECT", "refcow"), secrets.token_hex(4))
    result = Segment(name=name, create=True, size=size)
    try:
        file = os.open("/dev/shm/" + name, os.O_RDWR | os.O_CLOEXEC)
    finally:
        result.unlink()
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        result.close()
        raise OSError(
            error.errno,
            "cannot reserve {} bytes of shared memory: {}".format(size, error.strerror),
            "/dev/shm",
        ) from None
    finally:
        os.close(file)
    return result


def build(count=2000, item_bytes=65536):
    """A tuple of three uint8 arrays of shape (count, item_bytes)."""
    result = []
    for position in range(3):
        buffer = segment(count * item_bytes).buf
        array = numpy.ndarray((count, item_bytes), dtype=numpy.uint8, buffer=buffer)
        for index, row in enumerate(rows(count, item_bytes, position * count)):
            array[index] = numpy.frombuffer(row, dtype=numpy.uint8)
        result.append(array)
    return tuple(result)


def footprint(count, item_bytes):
    """Bytes that `build` will allocate: `objects`, `payload`, and
    `segment`, which needs room in /dev/shm.
    """
    return {"objects": 3 * numpy.ndarray.__basicsize__, "payload": 0, "segment": 3 * count * item_bytes}


def visit_read(data):
    """Adds up each row of each array; maps in every page."""
    total = 0
    for array in data:
        for row in array:
            total += int(row.sum())
    return total


def visit_write(data):
    """Adds 1 to each byte of each array, in place."""
    for array in data:
        array += 1
