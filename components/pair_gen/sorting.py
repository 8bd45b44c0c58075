"""Sorting by several columns, some ten times as fast as ``np.lexsort``."""

import numpy as np

from diptych.components.pair_gen.hashing import I64, U64


def order_by(*columns: I64 | U64) -> I64:
    """Stable order of rows by the first column, then the second, and so on.

    Sorts by one digit after the other, the least significant first. A digit, as many columns as
    go together into 64 bits with the number of the row, is sorted as a plain number: NumPy does
    that with vector instructions, and it is the order, too.

    Args:
      columns: (n,) whole numbers each.

    Returns:
      (n,) row numbers.
    """
    size = columns[0].size
    row_bits = max(size - 1, 0).bit_length()
    order: I64 | None = None
    for digit in _digits(columns, 64 - row_bits):
        packed = (digit if order is None else digit[order]) << np.uint64(row_bits)
        packed |= np.arange(size, dtype=np.uint64)
        packed.sort()
        packed &= np.uint64(2**row_bits - 1)
        place = packed.astype(np.int64)
        order = place if order is None else order[place]
    return np.arange(size) if order is None else order


def distinct(values: I64) -> tuple[I64, I64]:
    """The distinct values, sorted, and which of them each value is; as ``np.unique`` does."""
    order = order_by(values)
    ordered = values[order]
    new = np.ones(values.size, bool)
    new[1:] = ordered[1:] != ordered[:-1]
    number = np.empty(values.size, np.int64)
    number[order] = new.cumsum() - 1
    return ordered[new], number


def _digits(columns: tuple[I64 | U64, ...], room: int) -> list[U64]:
    """The columns as few numbers of at most ``room`` bits, the least significant first."""
    digits: list[U64] = []
    used = room  # no digit yet to add to
    for column in reversed(columns):
        if not column.size:
            continue
        rest = column.astype(np.uint64) - np.uint64(int(column.min()) % 2**64)
        bits = int(rest.max()).bit_length()
        while bits:
            if used + bits <= room:
                digits[-1] |= rest << np.uint64(used)
                used += bits
                break
            digits.append(rest & np.uint64(2 ** min(bits, room) - 1))
            used = min(bits, room)
            bits -= used
            rest = rest >> np.uint64(used) if bits else rest
    return digits
