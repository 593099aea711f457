"""A parent and so many workers that have so many bytes from it, and wait: prints their numbers, the parent's first."""
import mmap
import os
import sys

workers, length = (int(word) for word in sys.argv[1:])
data = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if hasattr(mmap, "MADV_NOHUGEPAGE"):
    data.madvise(mmap.MADV_NOHUGEPAGE)
for place in range(0, length, mmap.PAGESIZE):
    data[place] = 1
pids = [os.getpid()]
for _ in range(workers):
    pid = os.fork()
    if pid == 0:
        sys.stdin.read()
        os._exit(0)
    pids.append(pid)
print(*pids, flush=True)
sys.stdin.read()
for _ in range(workers):
    os.wait()
