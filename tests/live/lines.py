"""Writes pages at lines that the tests know, in a worker: its words are the numbers of `MARK` behind which they stand.

Waits until somebody traces it, or with a second word for a line, forks a worker that does it, and prints a line when that has ended.
"""
import mmap
import os
import sys
import threading

sys.path.insert(0, sys.argv[1])
import installed

PAGE = os.sysconf("SC_PAGE_SIZE")
PAGES = 2048
data = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if hasattr(mmap, "MADV_NOHUGEPAGE"):
    data.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(PAGES):
    data[page * PAGE] = 1
# The same numbers in each process, made before the fork.
places = [page * PAGE for page in range(PAGES)]


def some():
    for place in places[:300]:
        data[place] = 2  # MARK some


def many():
    for place in places[300:1000]:
        data[place] = 2  # MARK many


def by_package():
    installed.write(data, places[1000:1200])  # MARK by_package


def in_thread():
    for place in places[1200:1400]:
        data[place] = 2  # MARK in_thread


def generated():
    for place in places[1400:1500]:
        data[place] = 2  # MARK generated
        yield


def is_traced():
    with open("/proc/self/status") as status:
        return "TracerPid:\t0\n" not in status.read()


print(os.getpid(), flush=True)
if sys.argv[2:]:
    sys.stdin.readline()
else:
    while not is_traced():
        pass
pid = os.fork()
if pid == 0:
    some()
    many()
    by_package()
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    for _ in generated():
        pass
    os._exit(0)
os.waitpid(pid, 0)
print("done", flush=True)
sys.stdin.read()
