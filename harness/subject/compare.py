"""What a forked child does to learn whether a visit does the same with other objects in the place of the data. It ends with
that, so that nobody else has what this leaves behind.
"""
import os
import pickle
from collections import deque
from hashlib import blake2b

# Containers of fewer elements are pickled whole.
SMALL = 32


class CannotBeCompared(Exception):
    """Neither by value nor by pickle."""


def same(one, other):
    """Whether they are equal: containers by what is in them, arrays by value, the rest by pickle."""
    if one is other:
        return True
    # An array's own answer is an array.
    if hasattr(one, "dtype") and hasattr(other, "dtype"):
        return same_arrays(one, other)
    try:
        if (one == other) is True:
            return True
    except Exception:
        pass
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is float:
        return one != one and other != other
    if kind in (list, tuple, deque):
        return len(one) == len(other) and all(map(same, one, other))
    if kind is dict:
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if kind in (int, bool, str, bytes, set, frozenset, type(None)):
        return False
    try:
        return pickle.dumps(one, -1) == pickle.dumps(other, -1)
    except Exception as error:
        raise CannotBeCompared("{} ({})".format(kind.__name__, str(error) or type(error).__name__)) from None


def same_arrays(one, other):
    if type(one) is not type(other) or one.dtype != other.dtype:
        return False
    if getattr(one, "shape", None) != getattr(other, "shape", None):
        return False
    if hasattr(one, "tobytes") and not getattr(one.dtype, "hasobject", False):
        return one.tobytes() == other.tobytes() or equal_numbers(one, other)
    if hasattr(one, "tolist"):
        return same(one.tolist(), other.tolist())
    return pickle.dumps(one, -1) == pickle.dumps(other, -1)


def equal_numbers(one, other):
    """What the bytes of NaN, and of zeros, do not say."""
    return same(one.tolist(), other.tolist())


def shown(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


class Digest:
    """A sum over all that is in the data, or None of what cannot be pickled."""

    def __init__(self):
        self.sum = blake2b()

    def write(self, text):
        self.sum.update(text)
        return len(text)

    def add(self, value):
        if type(value) in (list, tuple, deque) and len(value) >= SMALL:
            for element in value:
                self.add(element)
        elif type(value) is dict:
            for key, element in value.items():
                self.add(key)
                self.add(element)
        else:
            pickle.dump(value, self, -1)

    @classmethod
    def of(cls, data):
        digest = cls()
        try:
            digest.add(data)
        except Exception:
            return None
        return digest.sum.digest()


def compare(visit, data, replacement):
    """(why the visit does something else with the replacement, or None; whether it returned anything to tell by)"""
    # What a visit prints it has printed, or will, where it is measured.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    replaced = replacement is not data
    before = Digest.of(data) if replaced else None
    expected = visit(data)
    if replaced and before is not None and Digest.of(data) != before:
        return "the visit changes what is in the data, and such a change would be lost", True
    try:
        found = visit(replacement)
    except BaseException as error:
        text = str(error)
        return "with it the visit raised {}{}".format(type(error).__name__, ": " + text if text else ""), True
    try:
        if same(expected, found):
            return None, expected is not None
        if not replaced or not same(expected, visit(data)):
            return "what the visit returns differs from time to time, and cannot be compared", True
    except CannotBeCompared as reason:
        return "what the visit returns cannot be compared: {}".format(reason), True
    if shown(expected) == shown(found):
        return "with it the visit returned another {}".format(type(expected).__name__), True
    return "with it the visit returned {}, and not {}".format(shown(found), shown(expected)), True
