"""A child's side of every way: takes the data, and reads it when told to.

The parent imports this, too. A child that is not forked cannot, as it is in
no file: it gets the compiled code (see `parent.BOOT`).
"""
import gc
import json
import os
import time

# The element that is written, and what is written there: none of the integers.
POSITION = 1
WRITTEN = 65535

# What must live as long as the data that looks into it.
KEPT = []


def words(block, size):
    """The 64-bit integers in the first `size` bytes of a buffer."""
    return memoryview(block)[:size].cast("q")


def take(transport, handle, size):
    """The data in this process's own form. `handle` is what came from the
    parent.
    """
    if transport == "shared_memory":
        import numpy
        return numpy.ndarray((size // 8,), numpy.int64, attach(handle).buf)
    if transport == "shared_memory_bitarray":
        return bits(attach(handle).buf, size)
    if transport == "shareable_list":
        from multiprocessing.shared_memory import ShareableList
        return ShareableList(name=handle)
    if transport == "mmap_file":
        import mmap
        with open(handle, "r+b") as file:
            return words(mmap.mmap(file.fileno(), size), size)
    if transport == "memmap":
        import numpy
        return numpy.memmap(handle, dtype=numpy.int64, mode="r+")
    return handle


def attach(name):
    """The segment of this name."""
    from multiprocessing.shared_memory import SharedMemory
    block = SharedMemory(name=name)
    KEPT.append(block)
    return block


def bits(block, size):
    """A bitarray whose bytes are the first `size` of a buffer."""
    from bitarray import bitarray
    return bitarray(endian="little", buffer=memoryview(block)[:size])


def prepare_imports(transport, read):
    """Imports what `take` needs, and what the data is made of: for a child
    that takes nothing, so that it differs from the others in nothing else.
    """
    if read == "numpy":
        import numpy
    if transport in ("shared_memory", "shared_memory_bitarray", "shareable_list"):
        import multiprocessing.shared_memory
    if transport == "raw_array":
        import ctypes
        import multiprocessing.heap
        import multiprocessing.sharedctypes
    if transport == "manager":
        import multiprocessing.managers
    if transport == "mmap_file":
        import mmap
    if read in ("count", "counts", "proxy_counts"):
        import bitarray


def read_first(read, data):
    """The first element; of a list of lists, its first."""
    element = data[0]
    return element[0] if read in ("rows", "counts", "proxy_counts") else element


def read_all(read, data):
    """The sum of all integers, or the number of all bits that are set."""
    if read == "sum":
        return sum(data)
    if read == "rows":
        return sum(sum(row) for row in data)
    if read == "numpy":
        return int(data.sum())
    if read == "count":
        return data.count()
    if read == "counts":
        return sum(item.count() for item in data)
    if read == "proxy":
        # The whole list in one message. A loop over the proxy would be one for each element.
        return sum(data[:])
    if read == "proxy_counts":
        return sum(item.count() for item in data[:])
    raise ValueError(read)


def write(read, data):
    """Writes one element."""
    if read in ("rows", "counts"):
        data = data[0]
    if read == "proxy_counts":
        # What a proxy gives is a copy: only what is put back is seen.
        item = data[0]
        item[POSITION] = not item[POSITION]
        data[0] = item
    elif read in ("count", "counts"):
        data[POSITION] = not data[POSITION]
    else:
        data[POSITION] = WRITTEN


def look(read, data):
    """What stands where `write` writes."""
    if read in ("rows", "counts", "proxy_counts"):
        data = data[0]
    return int(data[POSITION])


def identities(data, places):
    """Where the container and its elements at `places` are in memory;
    `None` for elements that are no objects of the container's, but made at
    each access.
    """
    held = {id(thing) for thing in gc.get_referents(data)}
    elements = [data[place] for place in places]
    return {
        "container": id(data),
        "elements": [id(element) if id(element) in held else None for element in elements],
    }


def timed(function, *arguments):
    """What a call returns, and the seconds it took."""
    start = time.monotonic()
    result = function(*arguments)
    return result, time.monotonic() - start


def answer(conn, message):
    """Tells the parent."""
    conn.send_bytes(json.dumps(message).encode())


def serve(conn, transport, read, size, given, handle):
    """Takes the data, says so, and does as told. With nothing `given` this
    is the reference child: the same steps without the data.
    """
    try:
        if given:
            data = take(transport, handle, size)
        else:
            prepare_imports(transport, read)
        answer(conn, {"pid": os.getpid(), "at": time.monotonic()})
        while True:
            name, argument = json.loads(conn.recv_bytes().decode())
            if name == "quit":
                return None
            result, seconds = None, 0.0
            if not given:
                pass
            elif name == "first":
                _, seconds = timed(read_first, read, data)
            elif name == "all":
                result, seconds = timed(read_all, read, data)
            elif name == "write":
                write(read, data)
            elif name == "look":
                result = look(read, data)
            elif name == "identities":
                result = identities(data, argument)
            else:
                raise ValueError(name)
            answer(conn, {"seconds": seconds, "result": result})
    except (EOFError, ConnectionError):
        # The parent has gone.
        os._exit(1)


# What workers of a pool find by inheritance: each task names its pipe.
CONNECTIONS = []


def work(task):
    """A task of a pool: keeps its worker busy until told to return."""
    index, transport, read, size, given, chunk = task
    del task
    return serve(CONNECTIONS[index], transport, read, size, given, chunk)
