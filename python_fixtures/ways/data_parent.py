"""The ways to share data of your own with worker processes: the parent's side.

The observer has built the data, as for a measurement, and gives it to `keep`. As in `parent`, each step is a function that
it calls; between two calls every process waits, and can be looked at.
"""
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import tempfile
import time
import types

import _data_child
import _values
from _data_prepare import prepare
from _parent import ChildDied, NotPossible, exit_code, helpers, how, start_manager

CODE = "import _data_child\n_data_child.serve(conn, transport, given, handle, module)\n"
CODE_OF_POOL = "import _data_child\n_data_child.CONNECTIONS[:] = connections\n_data_child.DATA[:] = data\n"

# More of pickled data is not written to a file to be compared.
MOST_COMPARED = 1 << 30

# How long what a forked process finds out may take.
LOOKING = 120

# How long a pool may take to send the data to one more worker.
PATIENCE = 20

# Who answers at all answers in so many times the patience, also where others use the processors.
BUSY = 20

# Forks that are timed.
FORKS = 5

# What `build` returned, until a way lets go of it.
DATA = []
JOB = []


def keep(data):
    """Takes the data over from whoever built it."""
    DATA[:] = [data]


class WorkerRaised(Exception):
    """An exception of a worker's, in words."""


class Worker:
    """A process, and the pipe to it."""

    def __init__(self, name, connection, process=None):
        self.name, self.connection, self.process = name, connection, process


class Job:
    """One way, from the data to the last worker."""

    def __init__(self, way, method, count, module, modules, folder):
        self.transport, self.count, self.module = way["transport"], count, module
        self.forks = method == "fork"
        self.folder, self.modules = folder, modules
        self.context = multiprocessing.get_context(method)
        if self.transport == "torch":
            import torch.multiprocessing
            self.context = torch.multiprocessing.get_context(method)
        self.manager = self.pool = self.pending = None
        # Seconds to wait for a worker; None: until refcow ends the wait, at its time limit.
        self.patience = None
        # Those that get nothing, and those that get the data.
        self.empty, self.workers = [], []

    def boot(self):
        return _data_child.Boot(self.modules, os.path.join(self.folder, "failed"))

    def processes(self):
        all = [(one.name, one.process) for one in self.empty + self.workers if one.process is not None]
        if self.manager is not None:
            all.append(("the manager", self.manager._process))
        return all


def apart(function, *arguments):
    """What a function returns in a forked process, which has all that it leaves behind."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            content = _data_child.encoded(function(*arguments))
        except BaseException as error:
            content = _data_child.encoded({"raised": _data_child.told(error)})
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)
        os._exit(0)
    os.close(writing)
    content = b""
    deadline = time.monotonic() + LOOKING
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not multiprocessing.connection.wait([reading], left):
                return {"raised": "it took longer than {} s".format(LOOKING)}
            part = os.read(reading, 1 << 16)
            if not part:
                break
            content += part
    finally:
        os.close(reading)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        status = os.waitpid(pid, 0)[1]
    if not content:
        return {"raised": "the process that looked ended with status {}".format(status)}
    return json.loads(content.decode())


def survey(path, packages):
    """What the data is, where that decides which ways there are; its pickle, for comparing, in a file."""
    import importlib.util
    data = DATA[0]
    result = apart(of_data, data, path)
    if "raised" in result:
        # What keeps it from being looked at keeps it from being pickled, too.
        why = "data ({})".format(result["raised"])
        result = {"kind": type(data).__name__, "not_picklable": why, "cuttable": False, "flat": False}
    result["packages"] = [name for name in packages if importlib.util.find_spec(name) is not None]
    result["methods"] = multiprocessing.get_all_start_methods()
    # Without choosing one, as `get_start_method` would.
    result["default"] = result["methods"][0]
    return result


def of_data(data, path):
    result = _values.survey(data)
    result["cuttable"] = cuttable(data)
    result["flat"] = type(data) is list and set(map(type, data)) <= FLAT
    if "pickled_bytes" in result and result["pickled_bytes"] <= MOST_COMPARED:
        with open(path, "wb") as file:
            pickle.dump(data, file, protocol=4)
        result["compared"] = True
    return result


# What a ShareableList takes.
FLAT = {int, float, bool, str, bytes, type(None)}


def cuttable(data):
    """Whether parts of it are of its kind, as `Pool.map` needs them."""
    try:
        part = data[0:1]
        return type(part) is type(data) and len(part) == 1 and not isinstance(data, (str, bytes))
    except Exception:
        return False


def forks():
    """How long a fork of this process takes, in seconds, several times."""
    all = []
    for _ in range(FORKS):
        begun = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        all.append(time.monotonic() - begun)
        os.waitpid(pid, 0)
    return all


def begin(way, method, count, module, modules, folder):
    """Hands the data over; returns when every worker has it.

    Before the workers two more processes are started like them, which get nothing: the witness, so that pages which the
    parent rewrites between two starts are nobody's alone, and the reference, which shows what any worker costs.
    """
    # A tracker that cleans up after a killed job says so; here that is no news.
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    # Also for what packages put into files. Whoever called removes it.
    os.environ["TMPDIR"] = os.environ["JOBLIB_TEMP_FOLDER"] = tempfile.tempdir = folder
    job = Job(way, method, count, module, modules, folder)
    JOB.append(job)
    prepare_seconds = 0.0
    if job.transport == "manager":
        prepare_seconds += timed(start_manager, job)[1]
    _data_child.imports(job.transport)
    if way.get("preload"):
        job.context.set_forkserver_preload(imported(module))
    data = DATA[0]
    handle, seconds = timed(prepare, job, data)
    prepared = handle is not data
    prepare_seconds += seconds
    if prepared:
        # It is elsewhere now: a program would let go of it.
        del DATA[:]
    del data
    # A collection that is due would come in one worker and not in the next, and write to every container.
    gc.collect()
    if job.transport == "freeze":
        gc.freeze()
    start_process(job, job.empty, "the witness", None, False)
    began = time.monotonic()
    start_process(job, job.empty, "a worker that gets nothing", None, False)
    start_seconds = time.monotonic() - began
    began = time.monotonic()
    if job.transport in ("pool", "pool_map", "executor"):
        had = begin_pool(job, handle)
    else:
        had = begin_processes(job, handle)
    had = [prepare_seconds + at - began for at in had]
    job.handle = handle
    job.first = had[0]
    result = {
        "start_seconds": start_seconds,
        "handover_seconds": max(had),
        "empty": [one.process.pid for one in job.empty],
        "children": [one.process.pid for one in job.workers],
        "helpers": helpers(job),
    }
    if prepared or job.transport == "manager":
        result["prepare_seconds"] = prepare_seconds
    return result


def timed(function, *arguments):
    begun = time.monotonic()
    return function(*arguments), time.monotonic() - begun


def imported(module):
    """The modules that the user's file imports, by name."""
    names = set()
    for value in vars(sys.modules[module]).values():
        name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules and name not in (module, "builtins"):
            names.add(name)
    return sorted(names)


def start_process(job, among, name, handle, given):
    """Starts one more process; returns when it was heard of, if it gets nothing."""
    ours, theirs = job.context.Pipe()
    namespace = {
        "boot": job.boot(), "conn": theirs, "transport": job.transport, "given": given,
        "handle": handle, "module": job.module,
    }
    process = job.context.Process(target=exec, args=(CODE, namespace))
    worker = Worker(name, ours, process)
    among.append(worker)
    try:
        process.start()
    except BaseException:
        # It never was one.
        among.remove(worker)
        raise
    # Forked, the next one would inherit it.
    theirs.close()
    if not given:
        hear(job, worker, "starting")
    return worker


def begin_processes(job, handle):
    """Starts the workers, each in a Process; when each had the data."""
    for number in range(job.count):
        start_process(job, job.workers, "worker {}".format(number + 1), handle, True)
    return [hear(job, worker, "taking the data")["at"] for worker in job.workers]


def begin_pool(job, data):
    """Starts a pool, of which each worker gets one task; when each had the data."""
    pipes = [job.context.Pipe() for _ in range(job.count)]
    job.workers = [Worker("a worker of the pool", ours) for ours, _ in pipes]
    given = [data] if job.transport == "pool" else []
    namespace = {"boot": job.boot(), "connections": [theirs for _, theirs in pipes], "data": given}
    initializer, initargs = exec, (CODE_OF_POOL, namespace)
    chunks = [()] * job.count
    if job.transport == "pool_map":
        step = -(-len(data) // job.count)
        chunks = [(data[number * step:(number + 1) * step],) for number in range(job.count)]
        if len(chunks[-1][0]) == 0:
            raise NotPossible("there are fewer elements than workers")
    if job.transport == "executor":
        from concurrent.futures import ProcessPoolExecutor
        job.pool = ProcessPoolExecutor(job.count, job.context, initializer, initargs)
        tasks = [(number, job.transport, job.module, data) for number in range(job.count)]
        job.pending = [job.pool.submit(_data_child.work, *task) for task in tasks]
        all = lambda: job.pool._processes
    else:
        job.pool = job.context.Pool(job.count, initializer, initargs)
        started = {process.pid: process for process in job.pool._pool}
        tasks = [(number, job.transport, job.module) + chunks[number] for number in range(job.count)]
        # What Pool.starmap does, without waiting for the end of all.
        job.pending = job.pool.starmap_async(_data_child.work, tasks, chunksize=1)
        all = lambda: started
    for worker in job.workers:
        worker.answer = hear(job, worker, "taking the data", all)
        worker.process = all()[worker.answer["pid"]]
    return [worker.answer["at"] for worker in job.workers]


def hear(job, worker, doing, others=dict):
    """What a worker says; raises ChildDied when it, or another process of the way, ends instead."""
    known = job.processes() + [(worker.name, process) for process in others().values()]
    sentinels = {process.sentinel: (name, process) for name, process in known}
    ready = multiprocessing.connection.wait([worker.connection] + list(sentinels), job.patience)
    if not ready:
        raise NotPossible("{} took longer than {:.0f} s".format(doing, job.patience))
    if worker.connection in ready:
        try:
            answer = json.loads(worker.connection.recv_bytes().decode())
            if "raised" in answer:
                raise WorkerRaised("{} raised {} while {}".format(worker.name, answer["raised"], doing))
            return answer
        except (EOFError, ConnectionError):
            # It is dying.
            pass
    ended = multiprocessing.connection.wait(list(sentinels), job.patience)
    for sentinel in ended:
        name, process = sentinels[sentinel]
        raise ChildDied("{} {} while {}{}".format(name, how(exit_code(process)), doing, failed(job)))
    raise ChildDied("a worker has closed its pipe while {}".format(doing))


def failed(job):
    """What the user's file raised in a worker that had to load it."""
    try:
        with open(os.path.join(job.folder, "failed")) as file:
            return ": the file raised " + file.read()
    except OSError:
        return ""


def ask(job, worker, doing, name, argument=None):
    worker.connection.send_bytes(json.dumps([name, argument]).encode())
    return hear(job, worker, doing)


def visit(name, patience):
    """Has one worker after the other make the visit."""
    job = JOB[0]
    job.patience = patience
    seconds = [ask(job, worker, "visiting the data", "visit", name)["seconds"] for worker in job.workers]
    return {"seconds": seconds, "first_result_seconds": job.first + seconds[0]}


def dismiss():
    """Ends the processes that got nothing."""
    job = JOB[0]
    for worker in job.empty:
        worker.connection.send_bytes(json.dumps(["quit", None]).encode())
    for worker in job.empty:
        worker.process.join(job.patience)
        worker.connection.close()
    job.empty = []


def given_back(path, original):
    """Whether a worker has what was put in: `same` objects, `equal` ones, or what differs."""
    job = JOB[0]
    # Elsewhere an address says nothing.
    if job.forks and job.transport != "pool_map" and DATA:
        theirs = ask(job, job.workers[0], "looking at its objects", "places")["places"]
        if theirs == _data_child.places(DATA[0]):
            return {"same": True}
    if not os.path.exists(original):
        return {"unknown": "more than {} GiB of pickle are not compared".format(MOST_COMPARED >> 30)}
    if job.transport == "pool_map":
        handle, transport = DATA[0], job.transport
    else:
        handle = job.handle
    job.empty = []
    worker = start_process(job, job.empty, "a worker more", handle, True)
    hear(job, worker, "taking the data")
    said = ask(job, worker, "writing what it has", "dump", path)
    worker.connection.send_bytes(json.dumps(["quit", None]).encode())
    worker.process.join(job.patience)
    job.empty = []
    return apart(compared, path, original)


def compared(path, original):
    with open(path, "rb") as one, open(original, "rb") as other:
        while True:
            here, there = one.read(1 << 20), other.read(1 << 20)
            if here != there:
                break
            if not here:
                return {"equal": True}
    with open(original, "rb") as file:
        before = pickle.load(file)
    with open(path, "rb") as file:
        after = pickle.load(file)
    differs = _values.difference(before, after)
    return {"equal": True} if differs is None else {"differs": differs}


def kill_one(patience):
    """Kills the last worker; whether parent and first worker can go on: `usable`, `unusable` or `hangs`."""
    job = JOB[0]
    job.patience = BUSY * patience
    victim = job.workers.pop()
    doing = "looking at the data after another was killed"
    os.kill(victim.process.pid, signal.SIGKILL)
    multiprocessing.connection.wait([victim.process.sentinel], job.patience)
    if job.pool is None:
        try:
            for worker in job.workers[:1]:
                ask(job, worker, doing, "look")
        except (ChildDied, NotPossible, WorkerRaised, OSError):
            return "unusable"
        return "usable"
    for worker in job.workers:
        try:
            worker.connection.send_bytes(json.dumps(["quit", None]).encode())
        except OSError:
            # The pool has ended it, too.
            pass
    try:
        if job.transport == "executor":
            for future in job.pending:
                future.result(job.patience)
        else:
            job.pending.get(patience)
    except (multiprocessing.TimeoutError, TimeoutError):
        return "hangs"
    except Exception as error:
        return "hangs" if type(error).__name__ == "TimeoutError" else "unusable"
    finally:
        # It starts another worker, which would complain of a parent that is killed while it sends the data.
        handler = getattr(job.pool, "_worker_handler", None)
        if handler is not None:
            handler._state = "TERMINATE"
            # It waits for this, or for the end of a worker.
            notifier = getattr(job.pool, "_change_notifier", None)
            if notifier is not None:
                notifier.put(None)
            handler.join(PATIENCE)
    return "usable"
