"""Data beside a terabyte of addresses, which is reserved or not."""
import mmap

MAP_NORESERVE = 0x4000


def build(reserved: int = 0):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    build.kept = mmap.mmap(-1, reserved, flags) if reserved else None
    return list(range(1000, 1_000_000))


def visit_iterate(data):
    for _ in data:
        pass
