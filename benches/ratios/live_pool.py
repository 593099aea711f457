"""A pool of which each of two workers goes through a half of objects that fill 100,000 pages."""
import multiprocessing

# 16 bytes each.
rows = [object() for _ in range(100_000 * 4096 // 16)]


def use(part):
    for row in rows[part]:
        pass


if __name__ == "__main__":
    half = len(rows) // 2
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(use, [slice(half), slice(half, None)])
