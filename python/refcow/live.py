"""`tree`: what the processes that this one has forked share with it now, in the words of `refcow schema trees`."""

import os
import sys
from dataclasses import dataclass, field
from typing import List, Optional

from refcow import program
from refcow.documents import read
from refcow.program import hides as __tracebackhide__  # noqa: F401
from refcow.sizes import Bytes


@dataclass(frozen=True)
class ProcessFigures:
    """One process. `refcow attach` explains each figure."""

    pid: int
    parent_pid: int
    depth: int
    command: str
    anonymous_pages: int
    shared_pages: int
    copied_pages: int
    left_behind_pages: int
    written_by_both_pages: int
    huge_pages: int
    unknown_pages: int
    new_pages: int
    own_pages: int
    rewritten_pages: int
    swapped_pages: int
    file_pages: int
    page_table_bytes: Optional[Bytes] = None


@dataclass(frozen=True)
class Total:
    """What all processes have together."""

    if_nothing_shared_bytes: Bytes
    if_all_shared_bytes: Bytes
    file_bytes: Bytes
    anonymous_bytes: Optional[Bytes] = None
    page_table_bytes: Optional[Bytes] = None


@dataclass(frozen=True)
class Tree:
    """Processes that were forked from one start of a program, parents before their children."""

    processes: List[ProcessFigures]
    python: Optional[str] = None
    seen_by: Optional[str] = None
    total: Optional[Total] = None
    page_bytes: int = field(default=0)

    def process(self, pid: int) -> ProcessFigures:
        """The one with this number."""
        for one in self.processes:
            if one.pid == pid:
                return one
        raise program.Error(f"no process {pid} is in the tree: {', '.join(str(one.pid) for one in self.processes)} are")


def tree(pid: Optional[int] = None) -> Tree:
    """One look at the tree of processes that `pid` (this process, unless given) is in."""
    words = ["attach", "--for=0", "--format=json", "--", str(os.getpid() if pid is None else pid)]
    ran = program.run(words)
    if ran.returncode != 0:
        program.require(sys.executable)
        raise program.Error(ran.stderr.strip())
    document = program.document(ran.stdout, program.TREES)
    return read(Tree, {**document["trees"][0], "page_bytes": document["page_bytes"]})
