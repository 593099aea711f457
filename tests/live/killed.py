"""Four workers that copy pages again and again, each time in a process that they fork; then how all of them ended.

Prints who traces it, as soon as somebody does, and a line for each round.
"""
import mmap
import os
import sys

PAGE = os.sysconf("SC_PAGE_SIZE")
PAGES = 256
data = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(PAGES):
    data[page * PAGE] = 1


def tracer():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("TracerPid:"):
                return int(line.split()[1])


def copy():
    for page in range(PAGES):
        data[page * PAGE] = 2


def work():
    for _ in range(int(sys.argv[1])):
        pid = os.fork()
        if pid == 0:
            copy()
            os._exit(7)
        if os.waitpid(pid, 0)[1] != 7 << 8:
            os._exit(1)
        os.write(1, b"round\n")
    os._exit(0)


while tracer() == 0:
    pass
print(tracer(), flush=True)
workers = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        work()
    workers.append(pid)
print("ended", *(os.waitpid(pid, 0)[1] for pid in workers), flush=True)
