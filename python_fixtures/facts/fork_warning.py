"""Whether `os.fork()` warns of another thread, and whether a filter can make
that warning an error.

The child leaves at once. Where the warning is raised as an error, the fork
has taken place all the same, and its result is lost: the child tells its own
pid, so that it can be waited for.
"""
import os
import threading
import warnings


def fork(action):
    """Forks under a filter with this action; the categories of what was
    warned, and whether an exception came in place of the child's pid.
    """
    told, tell = os.pipe()
    raised = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action)
            try:
                if os.fork() == 0:
                    try:
                        os.write(tell, str(os.getpid()).encode())
                    finally:
                        os._exit(0)
            except Warning:
                raised = True
        os.close(tell)
        tell = None
        os.waitpid(int(os.read(told, 20)), 0)
    finally:
        os.close(told)
        if tell is not None:
            os.close(tell)
    return [warning.category.__name__ for warning in caught], raised


def observe():
    """Forks without and with another thread."""
    alone, _ = fork("always")
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        beside, _ = fork("always")
        _, raised = fork("error")
    finally:
        end.set()
        other.join()
    return {
        "warns_without_thread": bool(alone),
        "warns_with_thread": bool(beside),
        "categories": ", ".join(sorted(set(beside))),
        "raised_as_error": raised,
        "threads_left": threading.active_count() - 1,
    }
