"""A pool of workers that look things up in what the parent has loaded.

    refcow run -- python3 examples/pool.py

With `--wait` it stays until its input ends, with its workers, so that they can be looked at: `refcow attach pool.py`.
"""

import multiprocessing
import sys
import time


class Row:
    def __init__(self, number):
        self.number = number
        self.name = str(number)


ROWS = [Row(number) for number in range(100_000)]
KEPT = []


def total(part):
    """Adds up a third of the rows, and keeps something for later."""
    first = part * len(ROWS) // 3
    result = sum(row.number for row in ROWS[first : first + len(ROWS) // 3])
    KEPT.append([str(number) for number in range(20_000)])
    # So that the other workers get their part, too.
    time.sleep(0.5)
    return result


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(pool.map(total, range(3), chunksize=1), flush=True)
        if "--wait" in sys.argv:
            sys.stdin.read()
