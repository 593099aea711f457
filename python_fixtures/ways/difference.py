"""Where two values differ: what was put in, and what a worker has.

Compared is what Python tells of them: types, values, elements, attributes, and of other objects what pickle would store.
"""
import enum
import pickle
import types

from _values import attributes, is_table, is_tensor, short

# Types whose objects hold nothing else.
SCALARS = (str, bytes, bytearray, int, float, complex)
CONTAINERS = (dict, list, tuple, set, frozenset)

# Objects in what pickle stores of objects, one in another.
DEEPEST = 8


class CannotCompare(Exception):
    """Nobody can say whether two values are alike: which, and why not."""


def difference(one, other, path="data", depth=0):
    """Where two values differ, in words; None if they are alike. Which objects are one and the same is no matter.

    Raises CannotCompare where no difference was found, and something could not be looked at.
    """
    waiting = [iter([(one, other, path)])]
    # Kept, so that no other comes to lie at their addresses.
    seen = {}
    unknown = None
    while waiting:
        pair = next(waiting[-1], None)
        if pair is None:
            waiting.pop()
            continue
        one, other, path = pair
        if one is other:
            continue
        kind = type(one)
        if kind is not type(other):
            return "{} is of the type {}, and was of {}".format(path, named(other), named(one))
        if isinstance(one, SCALARS):
            if not same_scalar(one, other):
                return others(path, one, other)
            if kind in SCALARS:
                continue
        if (id(one), id(other)) in seen or says_equal(one, other):
            continue
        seen[id(one), id(other)] = one, other
        if isinstance(one, enum.Enum):
            return others(path, one, other)
        if is_table(one) or is_tensor(one):
            if not (one.equals(other) if is_table(one) else one.equal(other)):
                return "{} has other content".format(path)
            continue
        if is_numpy(kind):
            found, objects = of_arrays(one, other, path)
            if found is not None:
                return found
            waiting.append(iter(objects))
        elif isinstance(one, (dict, list, tuple)):
            if len(one) != len(other):
                return "{} has {} elements, and had {}".format(path, len(other), len(one))
            waiting.append(elements(one, other, path))
        elif isinstance(one, (set, frozenset)):
            if not same_elements(one, other):
                return "{} has other elements".format(path)
        if kind in CONTAINERS or is_masked(one):
            continue
        had, has = attributes(one), attributes(other)
        for name in list(had) + list(has):
            if name not in has:
                return "{}.{} is missing".format(path, name)
            if name not in had:
                return "{}.{} was not there".format(path, name)
        waiting.append(iter([(value, has[name], "{}.{}".format(path, name)) for name, value in had.items()]))
        if isinstance(one, SCALARS + CONTAINERS) or is_numpy(kind) or had and is_pythons_alone(kind):
            continue
        try:
            found = by_pickle(one, other, path, depth)
        except CannotCompare as error:
            unknown = unknown or error
            continue
        if found is not None:
            return found
    if unknown is not None:
        raise unknown
    return None


def elements(one, other, path):
    """What two containers of one length hold, each with its path."""
    if isinstance(one, dict):
        items = enumerate(zip(dict.items(one), dict.items(other)))
        for place, ((key, value), (key_now, value_now)) in items:
            yield key, key_now, "key {} of {}".format(place, path)
            yield value, value_now, "{}[{}]".format(path, short(key))
    else:
        for place, (value, value_now) in enumerate(zip(one, other)):
            yield value, value_now, "{}[{}]".format(path, place)


def same_scalar(one, other):
    """Whether two of one type are the same value: a NaN is like another, and 0.0 is not like -0.0."""
    for kind in (float, complex):
        if isinstance(one, kind):
            return kind.__repr__(one) == kind.__repr__(other)
    kind = [kind for kind in SCALARS if isinstance(one, kind)][0]
    return kind.__eq__(one, other) is True


def says_equal(one, other):
    """Whether a class of somebody's says that two of its objects are equal: by `==` written in Python, or by `equals`."""
    for name in ("__eq__", "equals"):
        method = getattr(type(one), name, None)
        if not isinstance(method, types.FunctionType):
            continue
        try:
            if method(one, other) is True:
                return True
        except Exception:
            # Then its parts are compared.
            pass
    return False


def is_numpy(kind):
    """Whether these are NumPy arrays, or of a class that is made of them."""
    return any(base.__name__ == "ndarray" and base.__module__ == "numpy" for base in kind.__mro__)


def is_masked(value):
    return is_numpy(type(value)) and any(base.__name__ == "MaskedArray" for base in type(value).__mro__)


def of_arrays(one, other, path):
    """Where two NumPy arrays differ, and the objects that they hold, which are to be compared."""
    import numpy
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        now, then = ("of {} {}".format(array.dtype, array.shape) for array in (other, one))
        return "{} is {}, and was {}".format(path, now, then), []
    if is_masked(one):
        masks = [numpy.ma.getmaskarray(array) for array in (one, other)]
        if masks[0].tobytes() != masks[1].tobytes():
            return "{} has another mask".format(path), []
    one, other = one.view(numpy.ndarray), other.view(numpy.ndarray)
    objects = []
    for before, now in fields(one, other):
        if before.dtype.hasobject:
            objects.append((before.tolist(), now.tolist(), path))
        elif before.tobytes() != now.tobytes():
            return "{} has other content".format(path), []
    in_fortran = [array.flags.f_contiguous and not array.flags.c_contiguous for array in (one, other)]
    if in_fortran[0] and other.flags.c_contiguous and not in_fortran[1]:
        return "{} is in C order, and was in Fortran order".format(path), []
    return None, objects


def fields(one, other):
    """The fields of two arrays, without what lies between them."""
    if one.dtype.names is None:
        yield one, other
        return
    for name in one.dtype.names:
        for pair in fields(one[name], other[name]):
            yield pair


def same_elements(one, other):
    if one == other:
        return True
    try:
        # Elements that are equal to nothing but themselves.
        stored = [sorted(pickle.dumps(value, protocol=4) for value in values) for values in (one, other)]
    except Exception:
        return False
    return stored[0] == stored[1]


def is_pythons_alone(kind):
    """Whether no class of C is among what it is made of, whose objects hold more than attributes."""
    return all(base is object or base.__flags__ & 1 << 9 for base in kind.__mro__)


def by_pickle(one, other, path, depth):
    """Where two objects differ in what pickle would store of them."""
    if depth == DEEPEST:
        raise CannotCompare("{} is stored by too many objects, one in another".format(path))
    try:
        stored = [reduced(value) for value in (one, other)]
    except Exception as error:
        text = str(error).split("\n")[0] or type(error).__name__
        raise CannotCompare("{} cannot be compared ({})".format(path, text)) from None
    if difference(stored[0], stored[1], path, depth + 1) is None:
        return None
    return others(path, one, other)


def others(path, one, other):
    """That two values are not alike, with both if that shows how."""
    then, now = short(one), short(other)
    return "{} has other content".format(path) if then == now else "{} is {}, and was {}".format(path, now, then)


def reduced(value):
    """What pickle would store of an object: a name, or a function with its arguments and what is set then."""
    stored = value.__reduce_ex__(4)
    if isinstance(stored, str):
        return stored
    # Behind the first three come iterators over elements.
    return list(stored[:3]) + [None if one is None else list(one) for one in stored[3:5]]


def named(value):
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else "{}.{}".format(kind.__module__, kind.__name__)
