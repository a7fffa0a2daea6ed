"""Whether an LMDB file is whole. Imports no torch.

LMDB maps a file and follows the page numbers in it unchecked: those of a damaged file end the
process with a bus error. So they are followed here first, by the file's format (version 1).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from sweep.errors import InputError

__all__ = ["check_lmdb"]

_MAGIC = 0xBEEFC0DE
# of a page of meta data: magic number, size of a page, root of the tree, last page, transaction
_META = struct.Struct("<16xI20xI84xQQQ")
_HEADER = struct.Struct("<QHHHH")  # of a page: its number, padding, flags, end and start of space
_OVERFLOW = struct.Struct("<QHHI")  # of a large value: the same with its number of pages
_NODE = struct.Struct("<HHHH")  # of an entry: size (low, high), flags, size of the key
_BRANCH, _LEAF, _LARGE_PAGE = 1, 2, 4
_LARGE = 1  # flag of an entry whose value lies on pages of its own
_EMPTY = 2**64 - 1


def check_lmdb(file: str) -> None:
    """Follow every page of a file.

    Raises:
        InputError: it is no LMDB file, is cut short, or damaged.
    """
    with Path(file).open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        first = stream.read(_META.size)
        if len(first) < _META.size or _META.unpack(first)[0] != _MAGIC:
            raise _refused(file, "it does not begin as one")
        page: int = _META.unpack(first)[1]
        if page not in (2**n for n in range(9, 17)):
            raise _refused(file, f"its pages have {page} bytes")
        second = os.pread(stream.fileno(), _META.size, page)
        if len(second) < _META.size:
            raise _refused(file, f"cut short, {size} bytes")
        # the newer one of the two is in use
        _, _, root, last, _ = max(_META.unpack(first), _META.unpack(second), key=lambda m: m[4])
        if size < (last + 1) * page:
            raise _refused(file, f"cut short, {size} of {(last + 1) * page} bytes")
        if root != _EMPTY:
            try:
                _follow(stream.fileno(), page, root, last)
            except (ValueError, struct.error) as error:
                raise _refused(file, f"damaged: {error}") from error


def _follow(handle: int, page: int, root: int, last: int) -> None:
    waiting, seen = [root], set()
    while waiting:
        number = waiting.pop()
        if not 2 <= number <= last or number in seen:
            raise ValueError(f"page {number} of {last}")
        seen.add(number)
        content = os.pread(handle, page, number * page)
        own, _, flags, lower, upper = _HEADER.unpack_from(content)
        if own != number or flags & (_BRANCH | _LEAF) not in (_BRANCH, _LEAF) or flags & ~19:
            raise ValueError(f"page {number} is not what its place says")
        if not _HEADER.size <= lower <= upper <= page or lower % 2:
            raise ValueError(f"page {number} has no valid entries")
        for (start,) in struct.iter_unpack("<H", content[_HEADER.size : lower]):
            if not upper <= start <= page - _NODE.size:
                raise ValueError(f"page {number} has an entry outside")
            low, high, kind, key = _NODE.unpack_from(content, start)
            data = start + _NODE.size + key
            if flags & _BRANCH:
                if data > page:
                    raise ValueError(f"page {number} has a key outside")
                waiting.append(low | high << 16 | kind << 32)
            elif kind == _LARGE:
                (first,) = struct.unpack_from("<Q", content, data)
                _check_large(handle, page, first, last, low | high << 16)
            elif kind or data + (low | high << 16) > page:
                raise ValueError(f"page {number} has a value outside")


def _check_large(handle: int, page: int, first: int, last: int, size: int) -> None:
    if not 2 <= first <= last:
        raise ValueError(f"page {first} of {last}")
    own, _, flags, pages = _OVERFLOW.unpack(os.pread(handle, _OVERFLOW.size, first * page))
    held = pages * page - _OVERFLOW.size
    if own != first or flags != _LARGE_PAGE or first + pages - 1 > last or size > held:
        raise ValueError(f"page {first} does not hold the value that it shall")


def _refused(file: str, reason: str) -> InputError:
    return InputError(f"{file}: not readable as an LMDB file: {reason}")
