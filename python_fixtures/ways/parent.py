"""The ways to share data with child processes: the parent's side.

Children are started by `multiprocessing` itself, always from a context of
their own: which start method is the default depends on the version. Each
step is a function that the observer calls; between two calls every process
waits, and can be looked at.
"""
import array
import gc
import json
import marshal
import multiprocessing
import multiprocessing.connection
import os
import secrets
import signal
import tempfile
import time

import _child

# Also understood where this module cannot be imported. What it needs is in its namespace.
BOOT = "import marshal\nexec(marshal.loads(code), globals())\n"
CALL_SERVE = "\nserve(conn, transport, read, size, given, handle)\n"

# The first of the integers: small ones are objects of the interpreter's own, of which there is one each.
LEAST = 1 << 16

# Bytes of each array in a list of arrays.
ITEM_BYTES = 4096

# Elements whose identity is compared, at least, where there are so many.
SAMPLES = 64

# Who is started first: the witness, then the reference. Neither gets anything.
WITNESS, REFERENCE, FIRST = 0, 1, 2


class ChildDied(Exception):
    """A child ended that should have lived."""


class NotPossible(Exception):
    """This Python cannot do this in bearable time."""


def methods():
    """The start methods that this Python has."""
    return multiprocessing.get_all_start_methods()


class Job:
    """One way, from the source to the last child."""

    def __init__(self, way, method, size, children, child_source):
        self.transport, self.read = way["transport"], way["read"]
        self.source, self.method = way["source"], method
        self.size, self.count = size, children
        self.context = multiprocessing.get_context(method)
        self.child_source = child_source
        self.manager = self.pool = self.pending = None
        # The witness, the reference, the children.
        self.connections = []
        self.processes = []
        self.expected = [0] * children

    def code(self):
        return marshal.dumps(compile(self.child_source + CALL_SERVE, "python_fixtures/ways/child.py", "exec"))


JOB = []


def begin(way, method, size, children, child_source, folder):
    """Builds the source and hands it over; returns when every child has it.

    Before the children two more are started like them, which get nothing. The
    reference shows what any child costs. The witness, the first of all, has
    every page of the parent's to the end, so that those which the parent
    rewrites between two starts are no more the reference's than another
    child's.
    """
    # A tracker that cleans up after a killed job says so; here that is no news.
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    # Also for what multiprocessing puts into files. Whoever called removes it.
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    job = Job(way, method, size, children, child_source)
    JOB.append(job)
    check(job)
    prepare_seconds = 0.0
    if job.transport == "manager":
        # Before there is a source: forked, the manager would inherit it.
        _, seconds = _child.timed(start_manager, job)
        prepare_seconds += seconds
    _child.prepare_imports(job.transport, job.read)
    source, total = build(job)
    handle, seconds = _child.timed(prepare, job, source)
    prepared = handle is not source
    prepare_seconds += seconds
    # Of what was only needed to fill something else, no child is to inherit a copy.
    del source
    # A collection that is due would come in one child and not in the next, and write to every container.
    gc.collect()
    if job.transport == "pool":
        start, handover = begin_pool(job, handle)
    else:
        job.expected = [total] * children
        start, handover = begin_processes(job, handle)
    result = {
        "start_seconds": start,
        "handover_seconds": prepare_seconds + handover,
        "empty": [process.pid for process in job.processes[:FIRST]],
        "children": [process.pid for process in job.processes[FIRST:]],
        "helpers": helpers(job),
    }
    if prepared:
        result["prepare_seconds"] = prepare_seconds
    return result


def check(job):
    """Raises NotPossible for what would take too long."""
    if job.transport == "shareable_list" and job.size > 1 << 17:
        refuse_slow_list("--size 131072")


def refuse_slow_list(most):
    """Raises NotPossible where a long ShareableList is not read in bearable time."""
    from multiprocessing.shared_memory import ShareableList
    small = ShareableList([1], name=segment_name())
    slow = not hasattr(small, "_allocated_offsets")
    small.shm.close()
    small.shm.unlink()
    if slow:
        raise NotPossible(
            "in this Python each access to a ShareableList adds up the sizes of all elements "
            "before it: at most {}".format(most)
        )


def build(job):
    """The source, and the sum or the number of bits that a child must
    find.
    """
    numbers = range(LEAST, LEAST + job.size // 8)
    total = sum(numbers)
    if job.source == "list":
        return list(numbers), total
    if job.source == "numpy":
        import numpy
        return numpy.arange(LEAST, LEAST + len(numbers), dtype=numpy.int64), total
    packed = array.array("q", numbers)
    if job.source == "array":
        return packed, total
    if job.source == "arrays":
        step = ITEM_BYTES // 8
        return [packed[start:start + step] for start in range(0, len(packed), step)], total
    content = packed.tobytes()
    total = sum(content.translate(bytes(bin(byte).count("1") for byte in range(256))))
    if job.source == "bytes":
        return content, total
    from bitarray import bitarray
    if job.source == "bitarray":
        return filled(bitarray, content), total
    return [filled(bitarray, content[start:start + ITEM_BYTES])
            for start in range(0, len(content), ITEM_BYTES)], total


def filled(bitarray, content):
    result = bitarray(endian="little")
    result.frombytes(content)
    return result


def prepare(job, source):
    """Puts the source where children can get it from; what to give them for
    it. The parent keeps `job.data`.
    """
    transport = job.transport
    if transport in ("inherit", "args", "pool"):
        job.data = source
        return source
    if transport in ("shared_memory", "shared_memory_bitarray"):
        from multiprocessing.shared_memory import SharedMemory
        # The name tells whoever started this process what is its.
        block = SharedMemory(name=segment_name(), create=True, size=job.size)
        _child.KEPT.append(block)
        if transport == "shared_memory":
            import numpy
            job.data = numpy.ndarray((job.size // 8,), numpy.int64, block.buf)
            job.data[:] = source
        else:
            job.data = _child.bits(block.buf, job.size)
            block.buf[:job.size] = source
        return block.name
    if transport == "shareable_list":
        from multiprocessing.shared_memory import ShareableList
        job.data = ShareableList(source, name=segment_name())
        return job.data.shm.name
    if transport == "raw_array":
        import ctypes
        job.data = job.context.RawArray(ctypes.c_int64, len(source))
        memoryview(job.data).cast("B").cast("q")[:] = source
        return job.data
    if transport in ("mmap", "mmap_bitarray"):
        import mmap
        block = mmap.mmap(-1, job.size)
        if transport == "mmap":
            job.data = _child.words(block, job.size)
            job.data[:] = source
        else:
            job.data = _child.bits(block, job.size)
            block[:] = source
        return job.data
    if transport in ("mmap_file", "memmap"):
        path = os.path.join(os.environ["TMPDIR"], "integers")
        with open(path, "wb") as file:
            source.tofile(file)
        job.data = _child.take(transport, path, job.size)
        return path
    if transport == "manager":
        job.data = job.manager.list(source)
        return job.data
    raise ValueError(transport)


def segment_name():
    return "{}-{}".format(os.environ["REFCOW_SUBJECT"], secrets.token_hex(4))


def start_manager(job):
    from multiprocessing.managers import SyncManager
    job.manager = SyncManager(ctx=job.context)
    # What Manager() does.
    job.manager.start()


def begin_processes(job, handle):
    """Starts the reference and the children, each in a Process."""
    code = job.code()

    def start(given):
        ours, theirs = job.context.Pipe()
        namespace = {
            "code": code, "conn": theirs, "transport": job.transport,
            "read": job.read, "size": job.size, "given": given, "handle": handle if given else None,
        }
        process = job.context.Process(target=exec, args=(BOOT, namespace))
        job.connections.append(ours)
        job.processes.append(process)
        process.start()
        # Forked, the next one would inherit it.
        theirs.close()

    # The first start also starts what multiprocessing needs for itself.
    start(False)
    hear(job, WITNESS, "starting")
    begun = time.monotonic()
    start(False)
    start_seconds = hear(job, REFERENCE, "starting")["at"] - begun
    begun = time.monotonic()
    for _ in range(job.count):
        start(True)
    held = max(hear(job, number, "taking the data")["at"] for number in children(job))
    return start_seconds, held - begun


def cut(data, count):
    """Parts of it, of which none has two elements more than another."""
    ends = [number * len(data) // count for number in range(count + 1)]
    return [data[start:end] for start, end in zip(ends, ends[1:])]


def children(job):
    """The numbers of those that get the data."""
    return range(FIRST, FIRST + job.count)


def begin_pool(job, data):
    """Starts a pool. Witness and reference are the workers that get a task
    without a chunk.
    """
    pipes = [job.context.Pipe() for _ in range(FIRST + job.count)]
    job.connections = [ours for ours, _ in pipes]
    _child.CONNECTIONS[:] = [theirs for _, theirs in pipes]
    begun = time.monotonic()
    job.pool = job.context.Pool(FIRST + job.count)
    workers = {process.pid: process for process in job.pool._pool}
    job.processes = list(workers.values())
    rest = (job.transport, job.read, job.size)
    answers = []
    for number in (WITNESS, REFERENCE):
        job.pool.apply_async(_child.work, ((number,) + rest + (False, None),))
        answers.append(hear(job, number, "starting"))
    start_seconds = answers[WITNESS]["at"] - begun
    if len(data) < job.count:
        raise NotPossible("there are fewer elements than children")
    chunks = cut(data, job.count)
    job.chunks = chunks
    job.expected = [_child.read_all(job.read, chunk) for chunk in chunks]
    tasks = [(number,) + rest + (True, chunk) for number, chunk in zip(children(job), chunks)]
    begun_map = time.monotonic()
    # What Pool.map does, without waiting for the end of all.
    job.pending = job.pool.map_async(_child.work, tasks, chunksize=1)
    answers += [hear(job, number, "taking the data") for number in children(job)]
    job.processes = [workers[answer["pid"]] for answer in answers]
    handover = start_seconds + max(answer["at"] for answer in answers) - begun_map
    return start_seconds, handover


def helpers(job):
    """Processes that multiprocessing has started for itself."""
    from multiprocessing import forkserver, resource_tracker
    found = {
        "manager": getattr(getattr(job.manager, "_process", None), "pid", None),
        "forkserver": getattr(forkserver._forkserver, "_forkserver_pid", None),
        "resource_tracker": getattr(resource_tracker._resource_tracker, "_pid", None),
    }
    return {name: pid for name, pid in found.items() if pid is not None}


def hear(job, number, doing):
    """What a child says; raises ChildDied when it, or another one, ends
    instead.
    """
    connection = job.connections[number]
    watched = list(job.processes)
    if job.manager is not None:
        watched.append(job.manager._process)
    sentinels = [process.sentinel for process in watched]
    ready = multiprocessing.connection.wait([connection] + sentinels)
    if connection in ready:
        try:
            return json.loads(connection.recv_bytes().decode())
        except (EOFError, ConnectionError):
            # It is dying.
            pass
    ended = multiprocessing.connection.wait(sentinels, 10)
    for process in watched:
        if process.sentinel in ended:
            raise ChildDied("{} {} while {}".format(who(job, process), how(exit_code(process)), doing))
    raise ChildDied("a child has closed its pipe while {}".format(doing))


def exit_code(process):
    """How a process ended that has closed its end of the sentinel. It does so
    a moment before it can be waited for, and a thread of a pool may wait
    for it as well.
    """
    deadline = time.monotonic() + 10
    while process.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.001)
    return process.exitcode


def who(job, process):
    if job.manager is not None and process is job.manager._process:
        return "the manager"
    place = job.processes.index(process)
    if job.pool is not None:
        return "a worker of the pool"
    return ("the witness", "the reference child")[place] if place < FIRST else "child {}".format(place - 1)


def how(code):
    if code is None:
        return "ended"
    if code >= 0:
        return "exited with status {}".format(code)
    try:
        return "was killed by {}".format(signal.Signals(-code).name)
    except ValueError:
        return "was killed by signal {}".format(-code)


def tell(job, number, name, argument=None):
    job.connections[number].send_bytes(json.dumps([name, argument]).encode())


def ask(job, number, doing, name, argument=None):
    tell(job, number, name, argument)
    return hear(job, number, doing)


def read():
    """Has one child after the other read the first element and all; the
    reference goes through the same steps.
    """
    job = JOB[0]
    result = []
    for number in range(len(job.connections)):
        doing = "reading"
        first = ask(job, number, doing, "first")["seconds"]
        everything = ask(job, number, doing, "all")
        if number >= FIRST:
            place = number - FIRST
            if everything["result"] != job.expected[place]:
                raise ValueError("child {} found {} in place of {}".format(
                    place + 1, everything["result"], job.expected[place]))
            result.append({"first_read_seconds": first, "read_all_seconds": everything["seconds"]})
    return result


def parents(job):
    """The parent's own view of what the first child has."""
    return job.data if job.pool is None else job.chunks[0]


def properties():
    """Who sees a write of the first child's, and whether objects of the
    parent's are the same in it.
    """
    job = JOB[0]
    mine = parents(job)
    length = len(mine)
    places = sorted({index * (length - 1) // (SAMPLES - 1) for index in range(SAMPLES)})
    ours = _child.identities(mine, places)
    theirs = ask(job, FIRST, "looking at its objects", "identities", places)["result"]
    held = None not in theirs["elements"]
    result = {
        "container_survives": theirs["container"] == ours["container"],
        "elements_survive": held and theirs["elements"] == ours["elements"],
    }
    seen = lambda: _child.look(job.read, mine)
    before = seen()
    others_before = None
    sibling = job.count > 1 and job.pool is None
    if sibling:
        others_before = ask(job, FIRST + 1, "reading", "look")["result"]
    ask(job, FIRST, "writing", "write")
    written = ask(job, FIRST, "reading", "look")["result"]
    if written == before:
        raise ValueError("child 1 does not see its own write")
    result["seen_by_parent"] = seen() == written
    if sibling:
        now = ask(job, FIRST + 1, "reading", "look")["result"]
        result["seen_by_sibling"] = now == written and now != others_before
    return result


def kill_one():
    """Kills the last child; whether parent and first child can go on: `usable`, `unusable` or `hangs`, and after how long that was
    known. No wait ends before its answer.
    """
    job = JOB[0]
    last = len(job.processes) - 1
    victim = job.processes[last]
    doing = "reading after another was killed"
    mine = parents(job)
    before = _child.read_all(job.read, mine)
    sibling = last > FIRST
    sibling_before = ask(job, FIRST, doing, "all")["result"] if sibling else None
    os.kill(victim.pid, signal.SIGKILL)
    begun = time.monotonic()
    multiprocessing.connection.wait([victim.sentinel])
    del job.processes[last]
    del job.connections[last]
    state = "usable"
    if sibling and ask(job, FIRST, doing, "all")["result"] != sibling_before:
        state = "unusable"
    elif _child.read_all(job.read, mine) != before:
        state = "unusable"
    elif job.pool is not None:
        for number in range(last):
            tell(job, number, "quit")
        state = result_of_pool(job)
    return {"state": state, "seconds": time.monotonic() - begun}


def result_of_pool(job):
    """What becomes of the tasks of a pool of which one was killed with its worker, when all others were told to return.

    A pool that knows nothing of the lost task does the next one all the same, and that one's result is waited for as long as it
    takes: whether the lost one has a result by then does not depend on how fast the machine is.
    """
    job.pool.apply_async(os.getpid).get()
    if not job.pending.ready():
        return "hangs"
    try:
        job.pending.get()
    except Exception:
        return "unusable"
    return "usable"
