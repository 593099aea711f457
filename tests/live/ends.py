"""Workers that copy pages, make some and give some back, and end at once.

Waits until somebody traces it. Then, for each STEP of its command line (COPY,MAKE,BACK: numbers of pages), forks a worker that does this in
the way that its first word says, and prints the number of that process. The step with the place N counts a reference to COPY objects of class
`StepN`, the heads of which are on as many pages; makes MAKE pages; and copies BACK others, which it gives back.
"""
import gc
import mmap
import os
import sys
import threading

PAGE = os.sysconf("SC_PAGE_SIZE")
MOST = 1000
FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
# To copy, to read, and where nobody has written.
data = mmap.mmap(-1, 3 * MOST * PAGE, flags=FLAGS)
if hasattr(mmap, "MADV_NOHUGEPAGE"):
    data.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(2 * MOST):
    data[page * PAGE] = 1
COPIES, READS, MAKES = 0, MOST * PAGE, 2 * MOST * PAGE

way = sys.argv[1]
gc.disable()
steps = []
# An object is larger than a page, so that no page has the heads of two, and nothing else is there: before the first one of a step, and behind
# the last one, stand others; and holes between other things are filled.
kept = []
slots = ["field%d" % number for number in range(PAGE // 8)]


def some_of(of_step, number):
    objects = [None] * (number + 2)
    kept.append(objects)
    for place in range(len(objects)):
        objects[place] = of_step()
    return objects[1:-1]


some_of(type("Filling", (), {"__slots__": slots}), 1000)
for place, step in enumerate(sys.argv[2:]):
    copy, make, back = (int(number) for number in step.split(","))
    of_step = type("Step%d" % place, (), {"__slots__": slots})
    steps.append((some_of(of_step, copy), make * PAGE, back * PAGE))
lengths = [length for step in steps for length in step[1:]]


def act(step):
    for length in lengths:
        pass
    for one in step[0]:
        pass
    data.move(MAKES, READS, step[1])
    data.move(COPIES, READS, step[2])
    data.madvise(mmap.MADV_DONTNEED, 0, step[2])
    os._exit(0)


def work(step):
    if way == "thread":
        threading.Thread(target=act, args=(step,)).start()
        threading.Event().wait()
    if way == "grandchild":
        pid = os.fork()
        if pid == 0:
            act(step)
        os.write(1, b"%d\n" % pid)
        os.waitpid(pid, 0)
        os._exit(0)
    if way == "killed":
        os.kill(os.getpid(), 9)
    act(step)


def is_traced():
    with open("/proc/self/status") as status:
        return "TracerPid:\t0\n" not in status.read()


def forked(step):
    pid = os.fork()
    if pid == 0:
        work(step)
    if way != "grandchild":
        os.write(1, b"%d\n" % pid)
    os.waitpid(pid, 0)


while not is_traced():
    pass
# First as often as it takes for Python to have adapted its code.
for step in [steps[0]] * 20 + steps:
    forked(step)
