"""Puts data of your own where workers can get it from, by each way that does more than to hand it to them."""
import os
import pickle
import struct

import _data_child
import _values
from _parent import NotPossible, refuse_slow_list, segment_name

# Parts of a block begin at multiples of this.
ALIGNED = 64


def prepare(job, data):
    """Puts the data where workers can get it from; what to give them for it."""
    transport = job.transport
    path = os.path.join(job.folder, "data")
    if transport == "shared_memory":
        return in_segment(data)
    if transport == "buffers":
        return in_block(data)
    if transport == "shareable_list":
        return shareable(data)
    if transport == "memmap":
        import numpy
        rest, arrays = _values.skeleton(data, _values.is_array, _data_child.array_at)
        paths = ["{}-{}.npy".format(path, number) for number in range(len(arrays))]
        for one, array in zip(paths, arrays):
            numpy.save(one, array)
        return paths, rest
    if transport == "arrow":
        import pyarrow
        rest, tables = _values.skeleton(data, _values.is_table, _data_child.array_at)
        paths = ["{}-{}.arrow".format(path, number) for number in range(len(tables))]
        for one, table in zip(paths, tables):
            with pyarrow.OSFile(one, "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        return paths, rest
    if transport == "file":
        with open(path, "wb") as file:
            pickle.dump(data, file, protocol=pickle.HIGHEST_PROTOCOL)
        return path
    if transport == "joblib":
        import joblib
        joblib.dump(data, path)
        return path
    if transport == "manager":
        return job.manager.list(data) if isinstance(data, list) else job.manager.dict(data)
    return data


def block_of(size):
    """A segment. Its name tells whoever started this process what is its."""
    from multiprocessing.shared_memory import SharedMemory
    room_for(size)
    block = SharedMemory(name=segment_name(), create=True, size=max(1, size))
    _data_child.KEPT.append(block)
    return block


def room_for(size):
    """Raises NotPossible where so much does not fit into /dev/shm: writing there would end this process."""
    there = os.statvfs("/dev/shm")
    free = there.f_bavail * there.f_frsize
    if size > free:
        raise NotPossible("it needs {:,} KiB in /dev/shm, and {:,} KiB are free there".format(-(-size // 1024), free // 1024))


def aligned(sizes):
    """Where parts of these sizes begin, one behind the other, and where all end."""
    starts, end = [], 0
    for size in sizes:
        starts.append(end)
        end += -(-size // ALIGNED) * ALIGNED
    return starts, end


def in_segment(data):
    """All NumPy arrays in one segment, and the rest pickled."""
    import numpy
    rest, arrays = _values.skeleton(data, _values.is_array, _data_child.array_at)
    starts, end = aligned([array.nbytes for array in arrays])
    block = block_of(end)
    for start, array in zip(starts, arrays):
        numpy.ndarray(array.shape, array.dtype, block.buf, start)[...] = array
    places = [(start, array.shape, array.dtype) for start, array in zip(starts, arrays)]
    return block.name, places, rest


def in_block(data):
    """The pickle and, behind it, its buffers, which workers look into where they are."""
    buffers = []
    first = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(first)] + [buffer.raw() for buffer in buffers]
    starts, end = aligned([part.nbytes for part in parts])
    block = block_of(end)
    ends = []
    for start, part in zip(starts, parts):
        ends.append((start, start + part.nbytes))
        block.buf[start:start + part.nbytes] = part
        part.release()
    return block.name, ends


def shareable(data):
    from multiprocessing.shared_memory import ShareableList, SharedMemory
    if len(data) > 1 << 14:
        refuse_slow_list("16384 elements")
    # Of each element its place, its format, its type, and eight bytes of content, or as many times eight as a string takes.
    strings = sum(len(one) // 8 * 8 for one in data if isinstance(one, (str, bytes)))
    room_for(16 + 25 * len(data) + strings)
    name = segment_name()
    why = "a ShareableList cannot hold it: {}"
    try:
        made = ShareableList(data, name=name)
        why = "a ShareableList keeps too few bytes of strings that are not of ASCII: {}"
        for place, one in enumerate(data):
            if isinstance(one, str) and not one.isascii():
                # Cut in the middle of a character, it cannot be read.
                made[place]
    except (struct.error, ValueError) as error:
        # The segment was made before that was found out.
        half = SharedMemory(name=name)
        half.close()
        half.unlink()
        raise NotPossible(why.format(error)) from None
    _data_child.KEPT.append(made)
    return made
