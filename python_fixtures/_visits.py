"""Visits that do not depend on what the elements are.

`data` is one sequence, or a tuple of several; last among these may stand a
dict that leads to the same elements by name. What a visit says about pages
holds for the dataset's own pages. Python code that runs at all also writes
pages of the interpreter itself (region `rest`: frames, caches, the
allocator).
"""
import gc
import os


def sequences(data):
    """`data` as a tuple of sequences: itself, without the dict that may be
    last, if it is a tuple, else a tuple of one.
    """
    if not isinstance(data, tuple):
        return (data,)
    return data[:-1] if isinstance(data[-1], dict) else data


class Absent:
    """An object that is in no list: it equals only itself, and NumPy does
    not compare its elements with it one by one.
    """

    __array_ufunc__ = None


def visit_reference(data):
    """Binds a name to each list: one reference count a list."""
    for sequence in sequences(data):
        name = sequence


def visit_length(data):
    """Asks each list for its length; no element is touched."""
    total = 0
    for sequence in sequences(data):
        total += len(sequence)
    return total


def visit_index(data):
    """Binds a name to one element in the middle of each list."""
    for sequence in sequences(data):
        element = sequence[len(sequence) // 2]


def visit_iterate(data):
    """Binds a name to each element in turn, does nothing with it."""
    for sequence in sequences(data):
        for element in sequence:
            pass


def visit_random(data):
    """Binds a name to one element in ten, drawn at random.

    The same ones in every run, and with replacement: some are drawn twice.
    Where many objects stand on a page, nearly every page holds one that is
    drawn.
    """
    # A linear congruential generator, of which the upper bits are used. The module `random` would be memory to fork.
    state = 1
    for sequence in sequences(data):
        for draw in range(len(sequence) // 10):
            state = (state * 1664525 + 1013904223) % (1 << 32)
            element = sequence[state * len(sequence) >> 32]


def visit_copy(data):
    """Copies each list (`lst[:]`): one more reference to each element.

    The copy is gone at the visit's end, and the references with it.
    """
    for sequence in sequences(data):
        copy = sequence[:]


def visit_contains(data):
    """Looks in each list for what is not there: compares every element."""
    absent = Absent()
    found = False
    for sequence in sequences(data):
        found |= absent in sequence
    return found


def visit_sum(data):
    """Adds up each list with sum(): no name is bound to any element."""
    total = 0
    for sequence in sequences(data):
        total += sum(sequence)
    return total


def visit_pickle(data):
    """Pickles the data into /dev/null, as multiprocessing would into a pipe.

    In protocol 5. What is written is not kept, so that the child's memory
    does not grow with it. The child imports the module pickle itself, which
    shows in `rest`: in the parent it would be memory to fork, for all visits.
    """
    import pickle

    with open(os.devnull, "wb") as nowhere:
        pickle.dump(data, nowhere, protocol=5)


def visit_collect(data):
    """Runs gc.collect(): the GC header of every tracked object."""
    gc.collect()


def visit_allocate(data):
    """Makes so many lists that the collector, if enabled, runs by itself.

    It then collects the oldest generation, too. That takes 70,000 new objects
    (the product of its three thresholds), since CPython 3.13 200,000, and a
    quarter as many as there were when it last did so. CPython 3.14.0 to 3.14.4
    collect in increments instead: how far they come is not known here.
    """
    elements = sum(len(sequence) for sequence in sequences(data) if isinstance(sequence, list))
    kept = [[] for index in range(300_000 + elements // 2)]
