"""Amounts as people read them: bytes with a unit, shares that do not round to none or to all."""


def size_text(size_bytes: int) -> str:
    """Bytes for people.

    >>> size_text(1536)
    '1.5 KiB'
    """
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")


def share_text(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 in per cent; what is not nothing never reads 0, nor less than all 100.

    >>> share_text(0.00025), share_text(0.99999), share_text(0.125), share_text(0.0)
    ('<0.1%', '>99.9%', '12.5%', '0.0%')
    """
    least = 10.0 ** -(digits + 2)
    if 0 < share < least:
        return f"<{least:.{digits}%}"
    if 1 - least < share < 1:
        return f">{1 - least:.{digits}%}"
    return f"{share:.{digits}%}"
