"""What data is made of, as far as ways to share depend on it, and whether two are alike."""
import collections
import io
import pickle

# Steps of a path that is told.
DEEPEST = 12


class Nowhere:
    """A file that keeps how much was written."""

    def __init__(self):
        self.size = 0

    def write(self, content):
        self.size += memoryview(content).nbytes
        return self.size


def is_array(value):
    """Whether this is a NumPy array whose content can lie elsewhere."""
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ == "ndarray" and not value.dtype.hasobject


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
        place, error = unpicklable(data, "data", error, 0)
        text = str(error) or type(error).__name__
        result["not_picklable"] = "{} ({})".format(place, text.split("\n")[0])
        return result
    found = {"arrays": 0, "tables": 0, "tensors": 0}

    def seen(value):
        for name, wanted in (("arrays", is_array), ("tables", is_table), ("tensors", is_tensor)):
            found[name] += wanted(value)
        return False

    Skeleton(Nowhere(), seen, None).dump(data)
    result.update(found)
    return result


def cannot(value):
    """Why a value cannot be pickled; None if it can."""
    try:
        pickle.Pickler(Nowhere(), protocol=4).dump(value)
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
    held = getattr(value, "__dict__", None)
    if isinstance(held, dict) and not isinstance(value, type):
        for name, one in held.items():
            yield "{}.{}".format(path, name), one
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield "{}.{}".format(path, name), getattr(value, name)


def short(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


def unpicklable(value, path, error, depth):
    """The innermost value that cannot be pickled, and why."""
    if depth < DEEPEST:
        for place, part in parts(value, path):
            why = cannot(part)
            if why is not None:
                return unpicklable(part, place, why, depth + 1)
    return path, error


def difference(one, other, path="data"):
    """Where two values differ, in words; None if they are alike."""
    # The first in its order is told.
    waiting = collections.deque([(one, other, path)])
    seen = set()
    while waiting:
        one, other, path = waiting.popleft()
        if type(one) is not type(other):
            return "{} is of the type {}, and was of {}".format(path, named(other), named(one))
        if (id(one), id(other)) in seen:
            continue
        seen.add((id(one), id(other)))
        if is_array(one):
            if one.dtype != other.dtype or one.shape != other.shape or one.tobytes() != other.tobytes():
                return "{} has other content".format(path)
            continue
        if is_table(one) or is_tensor(one):
            if not (one.equals(other) if is_table(one) else one.equal(other)):
                return "{} has other content".format(path)
            continue
        if isinstance(one, (str, bytes, bytearray, int, float, complex, bool, type(None))):
            # A NaN is not equal to itself.
            if one != other and not (one != one and other != other):
                return "{} is {}, and was {}".format(path, short(other), short(one))
            if not hasattr(one, "__dict__"):
                continue
        if isinstance(one, (dict, list, tuple)) and len(one) != len(other):
            return "{} has {} elements, and had {}".format(path, len(other), len(one))
        if isinstance(one, (set, frozenset)):
            if one != other:
                return "{} has other elements".format(path)
            continue
        if isinstance(one, dict):
            if list(one) != list(other):
                return "{} has other keys".format(path)
            waiting.extend((one[key], other[key], "{}[{}]".format(path, short(key))) for key in one)
            held = getattr(one, "__dict__", None)
            if held:
                waiting.append((held, other.__dict__, path + ".__dict__"))
            continue
        before = list(parts(one, path))
        after = list(parts(other, path))
        if [place for place, _ in before] != [place for place, _ in after]:
            return "{} has other attributes".format(path)
        if before:
            waiting.extend((part, then, place) for (place, part), (_, then) in zip(before, after))
        elif isinstance(one, (list, tuple)):
            continue
        else:
            texts = [pickle.dumps(value, protocol=4) for value in (one, other)]
            if texts[0] != texts[1]:
                return "{} has other content".format(path)
    return None


def named(value):
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else "{}.{}".format(kind.__module__, kind.__name__)
