"""Prices that workers add up: packed, so that reading them copies nothing."""

from array import array


def build(rows=200_000):
    return array("d", (row / 100 for row in range(rows)))


def visit_total(prices):
    """Adds up all prices."""
    return sum(prices)
