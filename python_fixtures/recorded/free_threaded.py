"""What a forked worker writes to objects of builds without the GIL.

Without an argument it names its cases. With the name of one it builds objects
of a type, forks a worker that does one thing with them, and tells on how many
pages they begin. Who wrote to these pages first, and what, is seen from
outside (`refcow run`).
"""
import gc
import json
import os
import struct
import sys
import threading
import time

COUNT = 20_000
FUNCTIONS = 2_000
NAMES = 1_000
IDLE = 4
TRIES = 10_000


def in_thread(build):
    """What `build` returns in a thread that has ended."""
    made = []
    thread = threading.Thread(target=lambda: made.append(build()))
    thread.start()
    thread.join()
    return made[0]


def floats():
    """Objects that the collector does not know."""
    return [float(number) for number in range(COUNT)]


def lists():
    """Objects that it does."""
    return [[] for _ in range(COUNT)]


def strings():
    """Texts that nobody has interned."""
    return ["text {}".format(number) for number in range(COUNT)]


def interned():
    """Texts that somebody has."""
    return [sys.intern(text) for text in strings()]


def ints():
    """Numbers of which the interpreter keeps none."""
    return list(range(1_000_000, 1_000_000 + COUNT))


def functions():
    """Functions, and behind them one that calls each by its global name."""
    numbers = range(FUNCTIONS)
    lines = ["def f{}(): pass".format(number) for number in numbers]
    lines += ["def call():", *("    f{}()".format(number) for number in numbers)]
    names = {}
    exec("\n".join(lines), names)
    return [names["f{}".format(number)] for number in numbers] + [names["call"]]


def iterate(data):
    """Takes each object out and drops it."""
    for _ in data:
        pass


def call_each(data):
    """Calls all functions."""
    data[-1]()


def collect(data):
    """Collects."""
    gc.collect()


def nothing(*_):
    """Does nothing."""


# What builds, what is done before the fork, and what the worker does.
CASES = {
    "own": (floats, nothing, iterate),
    "others": (lambda: in_thread(floats), nothing, iterate),
    "strings": (strings, nothing, iterate),
    "interned": (interned, nothing, iterate),
    "ints": (ints, nothing, iterate),
    "collected": (lists, nothing, collect),
    "untracked": (floats, nothing, collect),
    "frozen": (lists, gc.freeze, collect),
    "frozen_read": (lists, gc.freeze, iterate),
    "uncalled": (functions, nothing, nothing),
    "called": (functions, nothing, call_each),
    "called_after_thread": (lambda: in_thread(nothing) or functions(), nothing, call_each),
}


def counts_of(thing):
    """The two counts of an object, as they stand in its memory."""
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(id(thing) + 12)
        local, shared = struct.unpack("=Iq", memory.read(12))
    # The lowest two bits are no count.
    return local, shared >> 2


def rises(things):
    """By how much each count grows when so many names take the object."""
    before = counts_of(things[0])
    names = [things[0]] * NAMES
    after = counts_of(things[0])
    del names
    return [now - then for then, now in zip(before, after)]


def in_child(question):
    """What a forked process answers."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(tell, json.dumps(question()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    with os.fdopen(told, "rb") as answer:
        said = answer.read()
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError("the worker failed")
    return json.loads(said)


def fields():
    """Which count a worker's first thread writes of objects that the
    parent's first thread has made, and of those of another one.
    """
    own, others = floats(), in_thread(floats)
    local_own, shared_own = in_child(lambda: rises(own))
    local_others, shared_others = in_child(lambda: rises(others))
    return {
        "names": NAMES,
        "local_of_own": local_own,
        "shared_of_own": shared_own,
        "local_of_others": local_others,
        "shared_of_others": shared_others,
    }


def wait_for_tracer():
    """Waits until refcow traces this process: it sees the end of all that is
    forked from then on.
    """
    for _ in range(TRIES):
        with open("/proc/self/status") as status:
            if "TracerPid:\t0\n" not in status.read():
                return
        time.sleep(0.001)
    raise RuntimeError("refcow does not trace this process")


def observe(case):
    """One of the cases."""
    build, before_fork, work = CASES[case]
    wait_for_tracer()
    data = build()
    before_fork()
    in_child(lambda: work(data))
    # Who ends stands still until it is known what has been written, though not for long. This
    # process, which has what was there before, lives on until several have.
    for _ in range(IDLE):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "type": type(data[0]).__name__,
        "figures": {"objects": len(data), "pages": len({id(thing) // page for thing in data})},
    }


if len(sys.argv) < 2:
    print(*CASES, "fields")
elif sys.argv[1] == "fields":
    print(json.dumps({"type": None, "figures": fields()}))
else:
    print(json.dumps(observe(sys.argv[1])))
