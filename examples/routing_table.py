"""A routing table of tuples, searched by the workers of a process pool.

The situation: a sorted table of routes is loaded once, into a global variable.
A `multiprocessing.Pool` forks workers (since Python 3.14 only one of
`get_context("fork")` does), which inherit the table and get addresses to look
up. No worker changes it, and yet the memory of each grows with every address,
until it has a table of its own.

What refcow says: a binary search takes a reference to each tuple that it
compares with, and to unpack the route that it finds takes one to each number in
it. They are written into tuples and ints, after enough addresses on every page.

    refcow measure examples/routing_table.py --lines

What to change: `--set table=packed` keeps the same routes in three arrays, where
a search writes nothing. Tuples, ints and both lines are gone from what refcow
names.
"""
import random
from array import array
from bisect import bisect_right
from typing import Literal

ADDRESSES = 1 << 32
HOPS = [f"192.0.2.{number}" for number in range(16)]


class Tuples:
    """Routes as a sorted list of tuples: first address, last address, next hop."""

    def __init__(self, routes):
        self.routes = list(routes)

    def __len__(self):
        return len(self.routes)

    def hop(self, address):
        found = bisect_right(self.routes, (address, ADDRESSES)) - 1
        first, last, hop = self.routes[found]
        return hop if first <= address <= last else None


class Packed:
    """The same routes, in an array for each of the three."""

    def __init__(self, routes):
        self.firsts, self.lasts, self.hops = array("Q"), array("Q"), array("B")
        for first, last, hop in routes:
            self.firsts.append(first)
            self.lasts.append(last)
            self.hops.append(HOPS.index(hop))

    def __len__(self):
        return len(self.firsts)

    def hop(self, address):
        found = bisect_right(self.firsts, address) - 1
        return HOPS[self.hops[found]] if address <= self.lasts[found] else None


def build(routes: int = 500_000, table: Literal["tuples", "packed"] = "tuples"):
    size = ADDRESSES // routes
    return {"tuples": Tuples, "packed": Packed}[table](
        (number * size, number * size + size - 1, HOPS[number % len(HOPS)])
        for number in range(routes)
    )


def visit_lookups(table):
    """Looks up random addresses, a fifth as many as there are routes."""
    numbers = random.Random(0)
    for _ in range(len(table) // 5):
        table.hop(numbers.randrange(ADDRESSES))
