"""Numbers of bytes that print as refcow's tables print them."""


class Bytes(int):
    """A number of bytes. Its `repr`, which a failed assertion shows, is in binary units: `138.1 MiB`."""

    def __repr__(self) -> str:
        value, unit = float(self), "B"
        for larger in ("KiB", "MiB", "GiB", "TiB"):
            if abs(value) < 999.5:
                break
            value, unit = value / 1024, larger
        is_whole = value == int(value) or unit == "KiB" and abs(value) >= 99.95
        return f"{value:.0f} {unit}" if is_whole else f"{value:.1f} {unit}"

    __str__ = __repr__


def KiB(number: float) -> Bytes:
    """So many times 1024 bytes."""
    return Bytes(number * 2**10)


def MiB(number: float) -> Bytes:
    """So many times 1024 KiB."""
    return Bytes(number * 2**20)


def GiB(number: float) -> Bytes:
    """So many times 1024 MiB."""
    return Bytes(number * 2**30)
