"""Visits that do not depend on what the elements are.

`data` is one sequence, or a tuple of several. What a visit says about pages
holds for the dataset's own pages. Python code that runs at all also writes
pages of the interpreter itself (region `rest`: frames, caches, the
allocator).
"""
import gc


def sequences(data):
    """`data` as a tuple of sequences: itself if it is a tuple, else a tuple
    of one.
    """
    return data if isinstance(data, tuple) else (data,)


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


def visit_collect(data):
    """Runs gc.collect(): the GC header of every tracked object."""
    gc.collect()
