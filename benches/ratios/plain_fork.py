"""What one would write without refcow: builds a fixture's data, forks children one after the other, times their visits.

Usage: plain_fork.py FIXTURE VISIT CHILDREN [told]. Prints the seconds of each visit as JSON. With `told` each child first prints
its pid, and makes its visit when it is told to: by a line on standard input. Like a subject of refcow's, the
process has no huge pages and fixed addresses: both are inherited over exec, so it sets them and starts itself again.
"""
import json
import os
import sys
import time

PR_SET_THP_DISABLE = 41  # linux/prctl.h
ADDR_NO_RANDOMIZE = 0x0040000  # linux/personality.h
PREPARED = "PLAIN_FORK_PREPARED"


def prepare():
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    # Containers may forbid it, to refcow as well.
    libc.personality(ADDR_NO_RANDOMIZE)
    os.environ[PREPARED] = "1"
    os.execv(sys.executable, [sys.executable] + sys.argv)


def visit_in_child(function, data, told):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        if told:
            os.write(1, b"%d\n" % os.getpid())
            os.read(0, 1)
        start = time.perf_counter()
        function(data)
        seconds = time.perf_counter() - start
        os.write(write, repr(seconds).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        seconds = float(answer.read())
    os.waitpid(pid, 0)
    return seconds


def main():
    fixture, visit, children, *told = sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(here, "..", "..", "python_fixtures"))
    module = __import__(fixture)
    data = module.build()
    function = getattr(module, "visit_" + visit)
    print(json.dumps([visit_in_child(function, data, told) for _ in range(int(children))]))


if PREPARED in os.environ:
    main()
else:
    prepare()
