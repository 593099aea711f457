"""So many workers (1), one after the other, that copy 100,000 pages each and do nothing else."""
import mmap
import os
import sys

LENGTH = 100_000 * mmap.PAGESIZE
data = mmap.mmap(-1, LENGTH, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if hasattr(mmap, "MADV_NOHUGEPAGE"):
    data.madvise(mmap.MADV_NOHUGEPAGE)
for place in range(0, LENGTH, mmap.PAGESIZE):
    data[place] = 1
for _ in range(int(sys.argv[1]) if sys.argv[1:] else 1):
    pid = os.fork()
    if pid == 0:
        for place in range(0, LENGTH, mmap.PAGESIZE):
            data[place] = 2
        os._exit(0)
    os.waitpid(pid, 0)
