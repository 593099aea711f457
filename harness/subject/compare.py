"""What a forked child does to learn whether a visit does the same with other objects in the place of the data. It ends with
that, so that nobody else has what this leaves behind.
"""
import os


def same(one, other):
    """Whether they are equal, or else look it: a NaN is not equal to itself, and arrays do not say in one word."""
    try:
        if one == other:
            return True
    except Exception:
        pass
    return type(one) is type(other) and repr(one) == repr(other)


def shown(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def compare(visit, data, replacement):
    """(why the visit does something else with the replacement, or None; whether it returned anything to tell by)"""
    # What a visit prints it has printed, or will, where it is measured.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    expected = visit(data)
    try:
        found = visit(replacement)
    except BaseException as error:
        text = str(error)
        return "with it the visit raised {}{}".format(type(error).__name__, ": " + text if text else ""), True
    if same(expected, found):
        return None, expected is not None
    if not same(expected, visit(data)):
        return "what the visit returns differs from time to time, and cannot be compared", True
    return "with it the visit returned {}, and not {}".format(shown(found), shown(expected)), True
