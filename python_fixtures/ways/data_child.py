"""A worker's side of every way to share data of your own: takes the data, and visits it when told to.

A worker that is not forked gets this module, and the user's file, before it unpickles anything else (`Boot`).
"""
import json
import os
import pickle
import sys
import time

# What must live as long as the data that looks into it.
KEPT = []

# The arrays of the data, where they lie beside the rest of it.
ARRAYS = []

# What the workers of a pool were started with: their pipes, and the data.
CONNECTIONS = []
DATA = []

LOAD = """
import sys, types
for name, file, source in modules:
    if name not in sys.modules:
        module = types.ModuleType(name)
        module.__file__ = file
        sys.modules[name] = module
        try:
            exec(compile(source, file, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            import traceback
            with open(errors, "w") as written:
                written.write("".join(traceback.format_exception_only(*sys.exc_info()[:2])).strip())
            raise
"""


class Boot:
    """Unpickled, it loads modules, as the file that holds the classes of what is unpickled after it."""

    def __init__(self, modules, errors):
        self.modules, self.errors = modules, errors

    def __reduce__(self):
        return exec, (LOAD, {"modules": self.modules, "errors": self.errors})


def attach(name):
    """The segment of this name."""
    from multiprocessing.shared_memory import SharedMemory
    block = SharedMemory(name=name)
    KEPT.append(block)
    return block.buf


def array_at(place):
    """What stands in a skeleton where an array was."""
    return ARRAYS[place]


def take(transport, handle):
    """The data in this process's own form."""
    if transport == "shared_memory":
        import numpy
        name, places, skeleton = handle
        block = attach(name)
        ARRAYS[:] = [
            numpy.ndarray(shape, numpy.dtype(kind), block, start) for start, shape, kind in places
        ]
        return pickle.loads(skeleton)
    if transport == "memmap":
        import numpy
        paths, skeleton = handle
        ARRAYS[:] = [numpy.load(path, mmap_mode="r") for path in paths]
        return pickle.loads(skeleton)
    if transport == "buffers":
        name, ends = handle
        block = attach(name)
        parts = [block[start:end] for start, end in ends]
        return pickle.loads(parts[0], buffers=parts[1:])
    if transport == "file":
        with open(handle, "rb") as file:
            return pickle.load(file)
    if transport == "joblib":
        import joblib
        return joblib.load(handle, mmap_mode="r")
    if transport == "arrow":
        import pyarrow
        paths, skeleton = handle
        tables = []
        for path in paths:
            source = pyarrow.memory_map(path)
            KEPT.append(source)
            tables.append(pyarrow.ipc.open_file(source).read_all())
        ARRAYS[:] = tables
        return pickle.loads(skeleton)
    return handle


def imports(transport):
    """Imports what `take` needs: also a worker that gets nothing does, so that it differs in nothing else."""
    if transport in ("shared_memory", "memmap"):
        import numpy
    if transport in ("shared_memory", "buffers"):
        import multiprocessing.shared_memory
    if transport == "joblib":
        import joblib
    if transport == "arrow":
        import pyarrow
    if transport == "torch":
        import torch.multiprocessing
    if transport == "manager":
        import multiprocessing.managers


def plain(transport, data):
    """What the worker has, without what makes it shared."""
    if transport == "manager":
        return data._getvalue()
    if transport == "shareable_list":
        return list(data)
    return data


def visit(module, name, data):
    """Makes the visit: how long it took, or what it raised."""
    function = getattr(sys.modules[module], "visit_" + name)
    begun = time.monotonic()
    try:
        result = function(data)
    except BaseException as error:
        return {"raised": told(error)}
    ended = time.monotonic()
    # It lives as long as the worker, as one that is to be sent does.
    KEPT.append(result)
    return {"seconds": ended - begun}


def told(error):
    """An exception in a line, with the place of the user's own code where it was raised."""
    import traceback
    line = traceback.format_exception_only(type(error), error)[-1].strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("python_fixtures/")]
    if own:
        line += " ({}:{})".format(own[-1].filename, own[-1].lineno)
    return line


def places(data):
    """Where the data and some of what it holds are in memory."""
    import gc
    held = gc.get_referents(data)
    step = max(1, len(held) // 64)
    return [id(data), [id(one) for one in held[::step]]]


def encoded(message):
    """As JSON, in which a lone surrogate of the user's would be no text for whoever reads it."""
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def answer(conn, message):
    conn.send_bytes(encoded(message))


def serve(conn, transport, given, handle, module):
    """Takes the data, says so, and does as told. With nothing `given`: the same steps without the data."""
    try:
        try:
            # A file that this worker has not loaded yet, it does now, as the others do.
            data = take(transport, handle) if given else imports(transport)
        except Exception as error:
            answer(conn, {"raised": told(error)})
            return None
        handle = None
        answer(conn, {"pid": os.getpid(), "at": time.monotonic()})
        while True:
            name, argument = json.loads(conn.recv_bytes().decode())
            if name == "quit":
                return None
            if not given:
                answer(conn, {})
            elif name == "visit":
                answer(conn, visit(module, argument, data))
            elif name == "places":
                answer(conn, {"places": places(data)})
            elif name == "dump":
                answer(conn, dump(transport, data, argument))
            elif name == "look":
                answer(conn, {"kind": type(plain(transport, data)).__name__})
            else:
                raise ValueError(name)
    except (EOFError, ConnectionError):
        # The parent has gone.
        os._exit(1)


def dump(transport, data, path):
    """Writes what this worker has to a file, for whoever compares it."""
    try:
        with open(path, "wb") as file:
            pickle.dump(plain(transport, data), file, protocol=4)
    except Exception as error:
        return {"raised": told(error)}
    return {}


def work(number, transport, module, *chunk):
    """A task of a pool: keeps its worker busy until told to return."""
    handle = chunk[0] if chunk else DATA[0]
    return serve(CONNECTIONS[number], transport, True, handle, module)
