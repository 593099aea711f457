"""The ways to share data of your own with worker processes: the parent's side.

The observer has built the data, as for a measurement, and gives it to `keep`. As in `parent`, each step is a function that
it calls; between two calls every process waits, and can be looked at.
"""
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import time
import types

import _data_child
import _data_survey
from _data_prepare import prepare
from _parent import ChildDied, NotPossible, cut, exit_code, helpers, how, result_of_pool, start_manager

CODE = "import _data_child\n_data_child.serve(conn, transport, given, handle, module)\n"
CODE_OF_POOL = "import _data_child\n_data_child.CONNECTIONS[:] = connections\n_data_child.DATA[:] = data\n"

# How long a pool may take to send the data to one more worker.
PATIENCE = 20

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


def survey(path, packages, may_copy):
    """What the data is, where that decides which ways there are; its pickle, for comparing, in a file."""
    return _data_survey.survey(DATA[0], path, packages, may_copy)


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
        if len(data) < job.count:
            raise NotPossible("there are fewer elements than workers")
        chunks = [(part,) for part in cut(data, job.count)]
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
    parts = job.count if job.transport == "pool_map" else 0
    handle = cut(DATA[0], parts)[0] if parts else job.handle
    # One that has not visited the data, and so changed nothing of it.
    worker = start_process(job, job.empty, "a worker more", handle, True)
    hear(job, worker, "taking the data")
    # Elsewhere an address says nothing, and these pickle each task.
    if job.forks and DATA and job.transport not in ("pool_map", "executor"):
        theirs = ask(job, worker, "looking at its objects", "places")["places"]
        if theirs == _data_child.places(DATA[0]):
            dismiss()
            return {"same": True}
    if not os.path.exists(original):
        dismiss()
        return {"unknown": "more than {} GiB of pickle are not compared".format(_data_survey.MOST_COMPARED >> 30)}
    ask(job, worker, "writing what it has", "dump", path)
    dismiss()
    if parts:
        return _data_survey.apart(_data_survey.of_part, path, DATA[0], parts)
    return _data_survey.apart(_data_survey.compared, path, original)


def kill_one():
    """Kills the last worker; whether the parent and another worker can go on: `usable`, `unusable` or `hangs`, and after how long
    that was known.
    """
    job = JOB[0]
    # No wait ends before its answer: a slow machine is no reason to say something else.
    job.patience = None
    victim = job.workers.pop()
    os.kill(victim.process.pid, signal.SIGKILL)
    begun = time.monotonic()
    multiprocessing.connection.wait([victim.process.sentinel])
    if job.pool is None:
        state = others_can(job)
    else:
        state = pool_can(job)
        let_go(job.pool)
    return {"state": state, "seconds": time.monotonic() - begun}


def others_can(job):
    """Has another worker use the data, or, where there is none, one that gets it now."""
    doing = "looking at the data after another was killed"
    try:
        if not job.workers:
            worker = start_process(job, job.workers, "a worker more", job.handle, True)
            hear(job, worker, doing)
        ask(job, job.workers[0], doing, "look")
    except (ChildDied, WorkerRaised, OSError):
        return "unusable"
    return "usable"


def pool_can(job):
    """Has all others end their tasks, and looks at what becomes of the one that was killed in its task."""
    for worker in job.workers:
        try:
            worker.connection.send_bytes(json.dumps(["quit", None]).encode())
        except OSError:
            # The pool has ended it, too.
            pass
    if job.transport != "executor":
        return result_of_pool(job)
    try:
        for future in job.pending:
            future.result()
    except Exception:
        return "unusable"
    return "usable"


def let_go(pool):
    """Keeps it from starting another worker, which would complain of a parent that is killed while it sends the data."""
    handler = getattr(pool, "_worker_handler", None)
    if handler is not None:
        handler._state = "TERMINATE"
        # It waits for this, or for the end of a worker.
        notifier = getattr(pool, "_change_notifier", None)
        if notifier is not None:
            notifier.put(None)
        handler.join(PATIENCE)
