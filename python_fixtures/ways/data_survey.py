"""What data of your own is, as far as that decides which ways there are, and whether a worker has what was put in."""
import importlib.util
import json
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import time

import _data_child
import _values
from _difference import CannotCompare, difference
from _parent import cut

# More of pickled data is not written to a file to be compared.
MOST_COMPARED = 1 << 30

# How long what a forked process finds out may take.
LOOKING = 120

# What a ShareableList takes.
FLAT = {int, float, bool, str, bytes, type(None)}


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
        how = "was killed by signal {}".format(status & 127) if status & 127 else "ended with status {}".format(status >> 8)
        return {"raised": "the process that looked {}".format(how)}
    return json.loads(content.decode())


def survey(data, path, packages, may_copy):
    """What the data is, where that decides which ways there are; its pickle, for comparing, in a file. `may_copy`: there is
    memory for another one.
    """
    result = apart(of_data, data, path)
    if "raised" in result:
        result = {"kind": type(data).__name__, "not_looked_at": result["raised"]}
    elif result.pop("foreign", 0):
        # Pickling objects of a class may lose something of them.
        short = {"raised": "there is too little memory for a copy of the data"}
        result.update(apart(again, data) if may_copy else short)
        result["pickling_unknown"] = result.pop("raised", result.get("pickling_unknown"))
    result["packages"] = [name for name in packages if importlib.util.find_spec(name) is not None]
    result["methods"] = multiprocessing.get_all_start_methods()
    # Without choosing one, as `get_start_method` would.
    result["default"] = result["methods"][0]
    return result


def of_data(data, path):
    result = _values.survey(data)
    if "not_picklable" in result:
        result["not_passable"] = not_passable(data)
    result["cuttable"] = cuttable(data)
    result["flat"] = type(data) is list and set(map(type, data)) <= FLAT
    result["plain"] = type(data) in (list, dict)
    if "pickled_bytes" in result and result["pickled_bytes"] <= MOST_COMPARED:
        with open(path, "wb") as file:
            pickle.dump(data, file, protocol=4)
    return result


class Spawning:
    """Stands for a process that is being started, which is given more than what can be pickled: locks, pipes, shared ctypes."""

    def __init__(self):
        from multiprocessing.popen_spawn_posix import Popen
        self.method, self.DupFd = Popen.method, Popen.DupFd

    def duplicate_for_child(self, descriptor):
        return descriptor


def not_passable(data):
    """Why data that cannot be pickled cannot be an argument of a new process either; None if it can."""
    from multiprocessing.context import set_spawning_popen
    from multiprocessing.reduction import ForkingPickler
    set_spawning_popen(Spawning())
    try:
        ForkingPickler(_values.Nowhere()).dump(data)
        return None
    except BaseException as error:
        place, error = _values.unpicklable(data, "data", error, _values.cannot_pass)
        return _values.because(place, error)
    finally:
        set_spawning_popen(None)


def cuttable(data):
    """Whether parts of it are of its kind, as `Pool.map` needs them."""
    # A slice can be a key of a dict, which may make what it lacks.
    if isinstance(data, (str, bytes, dict)):
        return False
    try:
        part = data[0:1]
        return type(part) is type(data) and len(part) == min(1, len(data))
    except Exception:
        return False


def again(data):
    """What pickling makes another of the data."""
    try:
        other = pickle.loads(pickle.dumps(data, protocol=4))
    except Exception as error:
        return {"not_unpicklable": _data_child.told(error)}
    try:
        return {"lost": difference(data, other)}
    except CannotCompare as error:
        return {"pickling_unknown": str(error)}


def of_part(path, data, parts):
    """The same of the first of these parts of the data, whose pickle is kept beside what the worker has written."""
    original = path + "-part"
    try:
        with open(original, "wb") as file:
            pickle.dump(cut(data, parts)[0], file, protocol=4)
        return compared(path, original)
    finally:
        os.remove(original)


def compared(path, original):
    """Whether what a worker has written is what was put in."""
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
    try:
        differs = difference(before, after)
    except CannotCompare as error:
        return {"unknown": str(error)}
    return {"equal": True} if differs is None else {"differs": differs}
