"""How large objects and the allocator's units are, as the interpreter itself
tells.

`…_bytes` of a type is what `sys.getsizeof` says, with all that stands before
the object. What cannot be had is left out.
"""
import array
import os
import re
import sys
import tempfile


class Plain:
    """Has a `__dict__`, or what CPython keeps in its place."""


class Slotted:
    """Has one attribute, and no `__dict__`."""

    __slots__ = ("name",)


def object_sizes():
    """Objects with the least content, of each type."""
    things = {
        "int_0": 0,
        "int_1": 1,
        "float": 0.5,
        "str_empty": "",
        "bytes_empty": b"",
        "tuple_empty": (),
        "list_empty": [],
        "dict_empty": {},
        "instance": Plain(),
        "instance_slotted": Slotted(),
        "array_empty": array.array("q"),
    }
    return {name + "_bytes": sys.getsizeof(thing) for name, thing in things.items()}


def before_objects():
    """What stands before an object, in bytes: of a list that is the GC header
    alone, of an instance also the pointers to its attributes.
    """
    instance = Plain()
    instance.name = None
    return {
        "before_list_bytes": sys.getsizeof([]) - [].__sizeof__(),
        "before_array_bytes": sys.getsizeof(array.array("q")) - array.array("q").__sizeof__(),
        "before_instance_bytes": sys.getsizeof(instance) - instance.__sizeof__(),
    }


def allocator():
    """Bytes of an arena and of a pool, from `sys._debugmallocstats`, which
    writes to file descriptor 2 whatever Python's `sys.stderr` is.
    """
    if not hasattr(sys, "_debugmallocstats"):
        return {}
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        text = file.read().decode(errors="replace")
    result = {}
    for name, pattern in (
        ("arena_bytes", r"arenas \* (\d+) bytes/arena"),
        ("pool_bytes", r"unused pools \* (\d+) bytes"),
        ("largest_pooled_bytes", r"Small block threshold = (\d+)"),
    ):
        found = re.search(pattern, text)
        if found:
            result[name] = int(found.group(1))
    return result


def asks_for_huge_pages():
    """Whether the memory that small objects are in was offered to the kernel
    for huge pages (`madvise`, flag "hg" of /proc/self/smaps). Whether it
    uses some is another thing.
    """
    things = [float(number) for number in range(100000)]
    address = id(things[-1])
    inside = False
    with open("/proc/self/smaps") as file:
        for line in file:
            found = re.match("([0-9a-f]+)-([0-9a-f]+) ", line)
            if found:
                inside = int(found.group(1), 16) <= address < int(found.group(2), 16)
            elif inside and line.startswith("VmFlags:"):
                return "hg" in line.split()
    return None


def made(number):
    """An int that is made now, or found among those that are kept."""
    return int(str(number))


def is_immortal(thing):
    """Whether more references leave the count as it is."""
    before = sys.getrefcount(thing)
    places = [thing] * 1000
    return sys.getrefcount(thing) == before and len(places) == 1000


def small_ints():
    """From which int on each is made anew, and the counts of which do not
    change.
    """
    largest = 0
    while made(largest + 1) is made(largest + 1):
        largest += 1
    smallest = 0
    while made(smallest - 1) is made(smallest - 1):
        smallest -= 1
    result = {"smallest_kept_int": smallest, "largest_kept_int": largest}
    if is_immortal(made(0)):
        largest = 0
        while is_immortal(made(largest + 1)):
            largest += 1
        result["largest_immortal_int"] = largest
    return result


def observe():
    """All of it."""
    result = object_sizes()
    result.update(before_objects())
    result.update(allocator())
    huge = asks_for_huge_pages()
    if huge is not None:
        result["arena_asks_for_huge_pages"] = huge
    result.update(small_ints())
    for name, thing in (("none", None), ("true", True), ("str_empty", ""), ("str_of_one", "a"), ("tuple_empty", ()),
                        ("bytes_empty", b""), ("type_int", int), ("type_plain", Plain)):
        result[name + "_immortal"] = is_immortal(thing)
    return result
