"""What a forked child does to learn whether a visit does the same with other objects in the place of the data. It ends with
that, so that nobody else has what this leaves behind. Classes of the program may do anything when they are compared, pickled or
shown: nothing of that is taken for an answer of the visit.
"""
import copyreg
import os
import pickle
from collections import deque
from hashlib import blake2b

# Containers of fewer elements are pickled whole.
SMALL = 32
# After so many parts, a pickler forgets what it has written: what rows share is not written with each of them, nor remembered forever.
OFTEN = 1_000
# What is told of parts that cannot be looked into.
MOST_TOLD = 3

SCALARS = (int, float, complex, bool, str, bytes, type(None))
CONTAINERS = (dict, list, tuple, deque)


class CannotBeCompared(Exception):
    """Neither by value nor by pickle."""


def said(error):
    """What an exception says; it may be of a class that does not."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return "{}: {}".format(type(error).__name__, text) if text else type(error).__name__


def shown(value):
    """A value in a few words, or nothing where it has none."""
    try:
        text = repr(value)
    except Exception:
        return ""
    return text if len(text) <= 60 else text[:57] + "…"


def asked(value, name):
    """An attribute, or None: an object may raise anything where it has none."""
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def plain(value):
    """What a remedy's own container stands for, or a number or text of NumPy's own type."""
    if type(value).__module__ == "numpy" and asked(value, "shape") == () and hasattr(value, "item"):
        return value.item()
    if type(value).__module__ != "_refcow_remedy":
        return value
    kind, arguments = value.__reduce__()
    return kind(*arguments)


def same(one, other):
    """Whether they are equal: containers by what is in them, arrays by value, the rest by what a pickle would hold of them."""
    known, open_pairs = {}, [(one, other)]
    while open_pairs:
        one, other = open_pairs.pop()
        if one is other or (id(one), id(other)) in known:
            continue
        if type(one) not in SCALARS:
            # Kept, so that no other object gets its address.
            known[id(one), id(other)] = one, other
        pairs = parts(one, other)
        if pairs is None:
            return False
        open_pairs += pairs
    return True


def parts(one, other):
    """The pairs of which each must be equal for these to be so; None if they are not, whatever is in them."""
    if type(one) not in SCALARS and asked(one, "dtype") is not None and asked(other, "dtype") is not None:
        # An array's own answer is an array.
        return parts_of_arrays(one, other)
    try:
        if (one == other) is True:
            return []
    except Exception:
        pass
    one, other = plain(one), plain(other)
    kind = type(one)
    if kind is not type(other):
        return None
    if kind in SCALARS:
        return [] if one == other or one != one and other != other else None
    if kind in (list, tuple, deque):
        return list(zip(one, other)) if len(one) == len(other) else None
    if kind is dict:
        return [(one[key], other[key]) for key in one] if one.keys() == other.keys() else None
    if kind in (set, frozenset):
        if all(type(element) in SCALARS for element in one):
            return None
        raise CannotBeCompared("a {} whose elements are equal to none but themselves".format(kind.__name__))
    if issubclass(kind, type):
        return None
    return list(zip(*(reduced(each) for each in (one, other))))


def reduced(value):
    """What a pickle holds of an object, in pieces."""
    kind = type(value)
    try:
        reduce = copyreg.dispatch_table.get(kind)
        pieces = reduce(value) if reduce else value.__reduce_ex__(4)
        if type(pieces) is str:
            return [pieces]
        # State, elements and entries may be missing.
        pieces = tuple(pieces) + (None,) * (5 - len(pieces))
        return [*pieces[:3], *(pieces[at] and list(pieces[at]) for at in (3, 4))]
    except Exception as error:
        raise CannotBeCompared("{} ({})".format(kind.__name__, said(error))) from None


def parts_of_arrays(one, other):
    if type(one) is not type(other) or one.dtype != other.dtype:
        return None
    if asked(one, "shape") != asked(other, "shape"):
        return None
    if hasattr(one, "tobytes") and not getattr(one.dtype, "hasobject", False) and one.tobytes() == other.tobytes():
        return []
    # What the bytes of NaN, and of zeros, do not say. What has names for its rows is more than its numbers.
    if hasattr(one, "tolist") and not hasattr(one, "index"):
        return [(one.tolist(), other.tolist())]
    return list(zip(reduced(one), reduced(other)))


class Digest(pickle.Pickler):
    """A sum over all that is in the data. Of what cannot be pickled only which object it is counts: such parts are named."""

    def __init__(self):
        super().__init__(self, -1)
        self.sum, self.written = blake2b(), 0
        self.inside, self.unseen, self.more = set(), [], 0

    def write(self, text):
        # A large buffer of an array comes as it is.
        self.sum.update(text)
        return memoryview(text).nbytes

    def add(self, value, *name):
        """Adds a part; `name`: that of what it is in, and where."""
        kind = type(value)
        inner = value.values() if kind is dict else value if kind in CONTAINERS else ()
        if is_large(value) or any(map(is_large, inner)):
            self.add_parts(value, name)
            return
        self.written += 1
        if self.written % OFTEN == 0:
            self.clear_memo()
        try:
            self.dump(value)
        except Exception as error:
            # It remembers to have written what it has thrown away.
            self.clear_memo()
            self.write(b"%d" % id(value))
            if isinstance(error, RecursionError) or not self.add_parts(value, name):
                self.more += 1
                if len(self.unseen) < MOST_TOLD:
                    self.unseen.append("{} ({})".format(written(name), type(value).__name__))

    def add_parts(self, value, name):
        """The same, part by part; whether there are any."""
        if id(value) in self.inside:
            self.write(b"%d" % id(value))
            return True
        self.inside.add(id(value))
        self.write(type(value).__name__.encode())
        number = 0
        if issubclass(type(value), dict):
            for number, (key, element) in enumerate(dict.items(value), 1):
                self.add(key, name, key)
                self.add(element, name, key)
        elif issubclass(type(value), (list, tuple, deque)):
            for number, element in enumerate(elements(value), 1):
                self.add(element, name, number - 1)
        own = own_attributes(value)
        for attribute, element in own.items():
            self.add(element, name, None, attribute)
        return bool(number or own)

    def told(self):
        """The parts that nothing is known of, in words."""
        more = self.more - len(self.unseen)
        return self.unseen + ["{:,} more like that".format(more)] * bool(more)

    @classmethod
    def of(cls, data):
        digest = cls()
        digest.add(data)
        return digest


def elements(value):
    """What is in a container, whatever its class says."""
    base = next(one for one in (dict, list, tuple, deque) if issubclass(type(value), one))
    return dict.values(value) if base is dict else base.__iter__(value)


def is_large(value):
    return type(value) in CONTAINERS and len(value) >= SMALL


def own_attributes(value):
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return dict(own) if type(own) is dict else {}


def written(name):
    """`data['rows'][3].lock`"""
    if not name:
        return "data"
    outer, key, *attribute = name
    return written(outer) + (".{}".format(*attribute) if attribute else "[{}]".format(shown(key)))


def compare(visit, data, replacement):
    """(why the visit does something else with the replacement, or None; whether it returned anything to tell by; of which parts of the
    data nobody knows whether it changes them)
    """
    # What a visit prints it has printed, or will, where it is measured.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    replaced = replacement is not data
    before = Digest.of(data) if replaced else None
    unseen = before.told() if before else []
    differs = lambda why: (why, True, unseen)
    try:
        expected = visit(data)
    except BaseException as error:
        return differs("the visit raised {} when it was made with the data as it is once more".format(said(error)))
    if before and Digest.of(data).sum.digest() != before.sum.digest():
        return differs("the visit changes what is in the data, and such a change would be lost")
    try:
        found = visit(replacement)
    except BaseException as error:
        return differs("with it the visit raised " + said(error))
    try:
        if same(expected, found):
            return None, expected is not None, unseen
        if not replaced or not same(expected, visit(data)):
            return differs("what the visit returns differs from time to time, and cannot be compared")
    except CannotBeCompared as reason:
        return differs("what the visit returns cannot be compared: {}".format(reason))
    except BaseException as error:
        return differs("what the visit returns cannot be compared: {}".format(said(error)))
    texts = shown(expected), shown(found)
    if texts[0] == texts[1] or not all(texts):
        return differs("with it the visit returned another {}".format(type(expected).__name__))
    return differs("with it the visit returned {}, and not {}".format(texts[1], texts[0]))
