# Reads process numbers, a line each, and answers each with the seconds that psutil takes for its sums.
import sys
import time

import psutil

for line in sys.stdin:
    process = psutil.Process(int(line))
    start = time.perf_counter()
    process.memory_full_info()
    print(repr(time.perf_counter() - start), flush=True)
