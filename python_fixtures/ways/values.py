"""What data is made of, as far as ways to share depend on it."""
import io
import pickle
import types

# Steps of a path that is told.
DEEPEST = 12

# Characters of a value that is told.
LONGEST = 40


class Nowhere:
    """A file that keeps how much was written."""

    def __init__(self):
        self.size = 0

    def write(self, content):
        self.size += memoryview(content).nbytes
        return self.size


def is_array(value):
    """Whether this is a NumPy array whose content can lie elsewhere."""
    return is_ndarray(type(value)) and not value.dtype.hasobject


def is_ndarray(kind):
    return kind.__module__ == "numpy" and kind.__name__ == "ndarray"


def other_array(value):
    """What keeps the content of a NumPy array where it is; nothing of what is none."""
    kind = type(value)
    if not any(map(is_ndarray, kind.__mro__)):
        return ""
    if is_ndarray(kind):
        return "Python objects" if value.dtype.kind in "OV" else "the type " + type(value.dtype).__name__
    return "the subclass " + kind.__name__


def is_table(value):
    kind = type(value)
    return kind.__module__ == "pyarrow.lib" and kind.__name__ == "Table"


def is_tensor(value):
    kind = type(value)
    return kind.__module__ == "torch" and kind.__name__ == "Tensor"


class Skeleton(pickle.Pickler):
    """Pickles all but the values that are wanted, in whose place it puts their numbers."""

    def __init__(self, file, wanted, stands_for):
        super().__init__(file, protocol=4)
        self.wanted, self.stands_for = wanted, stands_for
        self.found, self.numbers = [], {}

    def reducer_override(self, value):
        if not self.wanted(value):
            return NotImplemented
        number = self.numbers.setdefault(id(value), len(self.found))
        if number == len(self.found):
            self.found.append(value)
        return self.stands_for, (number,)


def skeleton(data, wanted, stands_for):
    """The pickled rest, and the values that were taken out of it."""
    file = io.BytesIO()
    pickler = Skeleton(file, wanted, stands_for)
    pickler.dump(data)
    return file.getvalue(), pickler.found


def survey(data):
    """What there is to share. It grows a process by as much as pickling takes: call it in one that ends."""
    result = {"kind": type(data).__name__}
    try:
        nowhere = Nowhere()
        pickle.Pickler(nowhere, protocol=4).dump(data)
        result["pickled_bytes"] = nowhere.size
    except BaseException as error:
        result["not_picklable"] = because(*unpicklable(data, "data", error, cannot))
        return result
    found = {"arrays": 0, "tables": 0, "tensors": 0, "foreign": 0}
    others = set()

    def seen(value):
        known = isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType))
        for name, wanted in (("arrays", is_array), ("tables", is_table), ("tensors", is_tensor)):
            found[name] += wanted(value)
            known = known or wanted(value)
        if not known:
            others.add(other_array(value))
        # Of a class, which may say itself what is pickled.
        found["foreign"] += not known
        return False

    Skeleton(Nowhere(), seen, None).dump(data)
    result.update(found)
    if others - {""}:
        result["other_arrays"] = " and ".join(sorted(others - {""}))
    return result


def cannot(value):
    """Why a value cannot be pickled; None if it can."""
    try:
        pickle.Pickler(Nowhere(), protocol=4).dump(value)
    except BaseException as error:
        return error
    return None


def cannot_pass(value):
    """The same of what is given to a process that is being started."""
    from multiprocessing.reduction import ForkingPickler
    try:
        ForkingPickler(Nowhere()).dump(value)
    except BaseException as error:
        return error
    return None


def parts(value, path):
    """What a value holds, each with its path."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield "{}[{}]".format(path, short(key)), one
            yield "a key of {}".format(path), key
    elif isinstance(value, (list, tuple)):
        for index, one in enumerate(value):
            yield "{}[{}]".format(path, index), one
    elif isinstance(value, (set, frozenset)):
        for one in value:
            yield "an element of {}".format(path), one
    for name, one in attributes(value).items():
        yield "{}.{}".format(path, name), one


def attributes(value):
    """The attributes that an object has itself, by name."""
    if isinstance(value, type):
        return {}
    held = getattr(value, "__dict__", None)
    found = dict(held) if isinstance(held, dict) else {}
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def short(value):
    """A value in a few characters."""
    if isinstance(value, (str, bytes, bytearray)):
        # What is longer is not written out to be cut.
        value = value[:LONGEST]
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    return text if len(text) <= LONGEST else text[:LONGEST - 3] + "…"


def unpicklable(value, path, error, cannot, depth=0):
    """The innermost value that cannot be pickled, and why. What a class itself says of its objects is nobody else's fault. Where too
    many refer to one another, it is none of them alone.
    """
    if depth < DEEPEST and not isinstance(error, RecursionError):
        for place, part in parts(value, path):
            why = cannot(part)
            if why is not None and str(why) == str(error):
                return unpicklable(part, place, why, cannot, depth + 1)
    return path, error


def because(place, error):
    """A place, and what is wrong there, in a line."""
    text = str(error) or type(error).__name__
    return "{} ({})".format(place, text.split("\n")[0])
