"""Sort by several columns, about ten times as fast as ``np.lexsort``."""

import numpy as np

from diptych.components.common.row_runs import mark_run_starts
from diptych.components.pair_gen.hashing import I64, U64


def argsort_columns(*columns: I64 | U64) -> I64:
    """Return the stable order of rows by the first column, then the second, and so on.

    A least significant digit radix sort. A digit packs as many columns as fit into 64 bits together
    with the row number, and is sorted as a plain integer: NumPy does that with vector instructions,
    and the packed row numbers are the resulting order.

    Args:
      columns: (n,) integers each.

    Returns:
      (n,) row numbers.
    """
    size = columns[0].size
    row_bits = max(size - 1, 0).bit_length()
    order: I64 | None = None
    for digit in _pack_digits(columns, 64 - row_bits):
        packed = (digit if order is None else digit[order]) << np.uint64(row_bits)
        packed |= np.arange(size, dtype=np.uint64)
        packed.sort()
        packed &= np.uint64(2**row_bits - 1)
        permutation = packed.astype(np.int64)
        order = permutation if order is None else order[permutation]
    return np.arange(size) if order is None else order


def unique_inverse(values: I64) -> tuple[I64, I64]:
    """Return the sorted unique values and the index of each value, as ``np.unique`` does."""
    order = argsort_columns(values)
    ordered = values[order]
    new = mark_run_starts(ordered)
    inverse = np.empty(values.size, np.int64)
    inverse[order] = new.cumsum() - 1
    return ordered[new], inverse


def _pack_digits(columns: tuple[I64 | U64, ...], max_bits: int) -> list[U64]:
    """Pack the columns into few integers of at most ``max_bits`` bits, least significant first."""
    digits: list[U64] = []
    used = max_bits  # no digit to extend yet
    for column in reversed(columns):
        if not column.size:
            continue
        rest = column.astype(np.uint64) - np.uint64(int(column.min()) % 2**64)
        bits = int(rest.max()).bit_length()
        while bits:
            if used + bits <= max_bits:
                digits[-1] |= rest << np.uint64(used)
                used += bits
                break
            digits.append(rest & np.uint64(2 ** min(bits, max_bits) - 1))
            used = min(bits, max_bits)
            bits -= used
            rest = rest >> np.uint64(used) if bits else rest
    return digits
