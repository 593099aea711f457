"""What `sys.getrefcount` says of an object as names are bound to it and
dropped.

Only differences are told: the count itself includes the call's own
reference, which 3.14 no longer takes.
"""
import sys

NAMES = 1000


class Plain:
    """An ordinary object."""


def rise_with_names(thing):
    """By how much the count of `thing` grows when so many names are bound
    to it, and by how much it is still above the first when they are dropped.
    """
    namespace = {"thing": thing}
    bind = "\n".join("name_{} = thing".format(index) for index in range(NAMES))
    drop = "\n".join("del name_{}".format(index) for index in range(NAMES))
    before = sys.getrefcount(thing)
    exec(bind, namespace)
    bound = sys.getrefcount(thing)
    exec(drop, namespace)
    return bound - before, sys.getrefcount(thing) - before


def rise_with_places(thing):
    """The same for the places of a list, which are no names."""
    before = sys.getrefcount(thing)
    places = [thing] * NAMES
    result = sys.getrefcount(thing) - before
    del places
    return result


def observe():
    """Counts of an ordinary object, and of None, True and a small int."""
    # Once for nothing: what a first call allocates is not to be counted.
    rise_with_names(Plain())
    bound, dropped = rise_with_names(Plain())
    result = {
        "names": NAMES,
        "rise_when_bound": bound,
        "rise_when_dropped": dropped,
        "rise_by_places_in_a_list": rise_with_places(Plain()),
    }
    for key, thing in (("none", None), ("true", True), ("small_int", 7)):
        result["rise_of_" + key] = rise_with_names(thing)[0]
    result["count_of_none"] = sys.getrefcount(None)
    return result
