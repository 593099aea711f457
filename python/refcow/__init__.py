"""Which memory forked workers copy, from Python: over the program `refcow` and its JSON.

    run = refcow.measure("loader.py:epoch", samples=10_000)
    assert run.copied < refcow.MiB(1)

`measure` builds data in a fresh process and forks workers that use it. `tree` looks at the processes that this one has forked.
In pytest the fixture `refcow` does the same and shows refcow's table where a test fails.
"""

from refcow.documents import (
    Child,
    Measurement,
    Peak,
    Python,
    Region,
    Run,
    VisitBytes,
    Warning,
    Written,
)
from refcow.live import ProcessFigures, Total, Tree, tree
from refcow.measuring import measure
from refcow.program import Error, Unavailable
from refcow.sizes import Bytes, GiB, KiB, MiB

__all__ = [
    "Bytes",
    "Child",
    "Error",
    "GiB",
    "KiB",
    "Measurement",
    "MiB",
    "Peak",
    "ProcessFigures",
    "Python",
    "Region",
    "Run",
    "Total",
    "Tree",
    "Unavailable",
    "VisitBytes",
    "Warning",
    "Written",
    "measure",
    "tree",
]
