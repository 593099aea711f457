"""A web application, and tasks, that use rows which all workers have from their parent."""
import gc
import os

# A collection is asked for, and does not fall due.
gc.disable()


def is_traced():
    with open("/proc/self/status") as status:
        return "TracerPid:\t0\n" not in status.read()


# Whoever traces it knows by then that this is Python.
while os.environ.get("TRACED") and not is_traced():
    pass


class Row:
    __slots__ = ("one", "two")


rows = [Row() for _ in range(40000)]


def use():
    for row in rows:  # MARK use
        pass


ACTS = {"use": use, "collect": gc.collect}


def application(environ, start_response):
    ACTS[environ["PATH_INFO"][1:]]()
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# The last thing before the fork.
if os.environ.get("FREEZE"):
    gc.freeze()
