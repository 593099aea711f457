"""The reference count of a list in parent and child, while the child has a
name of its own for it.
"""
import os
import sys

CHILD_NAMES = 1


def observe():
    """Forks a child that binds a name, and asks both for the count while
    the name is bound.
    """
    data = [object() for _ in range(1000)]
    told, tell = os.pipe()
    heard, hear = os.pipe()
    before = sys.getrefcount(data)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            first = sys.getrefcount(data)
            name = data
            rise = sys.getrefcount(name) - first
            os.write(tell, str(rise).encode())
            # The name lives until the parent has looked.
            os.read(heard, 1)
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    os.close(heard)
    try:
        rise = os.read(told, 20)
        while_bound = sys.getrefcount(data)
        os.write(hear, b"\n")
    finally:
        os.close(told)
        os.close(hear)
        _, status = os.waitpid(child, 0)
    if status != 0 or not rise:
        raise RuntimeError("the child ended with wait status {}".format(status))
    return {
        "names_in_child": CHILD_NAMES,
        "rise_in_child": int(rise),
        "rise_in_parent": while_bound - before,
    }
