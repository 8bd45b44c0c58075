"""Read the tables of an ELF file that the dynamic loader uses to link it with libraries."""

import dataclasses
import mmap
import struct
from collections.abc import Iterator

# Layouts and numbers as in <elf.h>, for 64 bits and little-endian.
SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
VERSION_INDEX = struct.Struct("<H")
_SECTION = struct.Struct("<IIQQQQIIQQ")  # name, type, flags, address, offset, size, link, ...
_NEED = struct.Struct("<HHIII")  # version, count, file, first, next
_NEEDED_VERSION = struct.Struct("<IHHII")  # hash, flags, index, name, next
_DEFINITION = struct.Struct("<HHHHIII")  # version, flags, index, count, hash, first, next
_NAME = struct.Struct("<I")
_SHT_DYNSYM, _SHT_VERDEF, _SHT_VERNEED, _SHT_VERSYM = 11, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_INDEX_MASK = 0x7FFF  # the highest bit marks a version that is hidden from the linker
STB_WEAK = 2
VER_FLG_WEAK = 2


class ElfError(Exception):
    """The file is truncated, or not a 64-bit little-endian ELF file."""


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the file; ``link`` is the index of the section with its strings."""

    type: int
    offset: int
    size: int
    link: int


@dataclasses.dataclass(frozen=True)
class VersionNeed:
    """A version that a library must have, such as ``GLIBC_2.38`` of ``libc.so.6``.

    The loader requires it unless it is ``weak``. ``flags_offset`` is the file offset of its flags.
    """

    library: str
    version: str
    index: int
    weak: bool
    flags_offset: int


@dataclasses.dataclass(frozen=True)
class Import:
    """A symbol that another library defines, with the index of its version."""

    name: str
    index: int
    info: int
    offset: int
    index_offset: int


class Elf:
    """One 64-bit little-endian ELF file.

    Args:
      data: Content of the file.

    Raises:
      ElfError: If the file is not a 64-bit little-endian ELF file, or truncated.
    """

    def __init__(self, data: bytes | mmap.mmap) -> None:
        if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
            raise ElfError("not a 64-bit little-endian ELF file")
        self._data = data
        (start,) = struct.unpack_from("<Q", data, 40)
        size, count = struct.unpack_from("<HH", data, 58)
        if start + size * count > len(data):
            raise ElfError("the file is truncated")
        rows = (_SECTION.unpack_from(data, start + number * size) for number in range(count))
        self._sections = [Section(row[1], row[4], row[5], row[6]) for row in rows]

    def needs(self) -> Iterator[VersionNeed]:
        """Yield the versions that the file requires of libraries."""
        section = self._find(_SHT_VERNEED)
        if section is None:
            return
        at, to_next = section.offset, 1
        while to_next:
            _, count, library, to_first, to_next = _NEED.unpack_from(self._data, at)
            version_at = at + to_first
            for _ in range(count):
                row = _NEEDED_VERSION.unpack_from(self._data, version_at)
                _, flags, index, name, to_next_version = row
                yield VersionNeed(
                    library=self._string(section, library),
                    version=self._string(section, name),
                    index=index & _INDEX_MASK,
                    weak=bool(flags & VER_FLG_WEAK),
                    flags_offset=version_at + 4,
                )
                version_at += to_next_version
            at += to_next

    def definitions(self) -> Iterator[str]:
        """Yield the versions that the file defines."""
        section = self._find(_SHT_VERDEF)
        if section is None:
            return
        at, to_next = section.offset, 1
        while to_next:
            *_, to_first, to_next = _DEFINITION.unpack_from(self._data, at)
            (name,) = _NAME.unpack_from(self._data, at + to_first)
            yield self._string(section, name)
            at += to_next

    def imports(self) -> Iterator[Import]:
        """Yield the symbols that the file imports."""
        symbols, indices = self._find(_SHT_DYNSYM), self._find(_SHT_VERSYM)
        if symbols is None or indices is None:
            return
        for number in range(symbols.size // SYMBOL.size):
            offset = symbols.offset + number * SYMBOL.size
            name, info, _, defined_in, _, _ = SYMBOL.unpack_from(self._data, offset)
            if defined_in or not name:
                continue
            index_offset = indices.offset + number * VERSION_INDEX.size
            (index,) = VERSION_INDEX.unpack_from(self._data, index_offset)
            yield Import(
                self._string(symbols, name), index & _INDEX_MASK, info, offset, index_offset
            )

    def find_name(self, name: str) -> int | None:
        """Return the string offset of a name, or None if no string of the file ends with it."""
        symbols = self._find(_SHT_DYNSYM)
        if symbols is None:
            return None
        strings = self._sections[symbols.link]
        end = strings.offset + strings.size
        at = self._data.find(name.encode() + b"\0", strings.offset, end)
        return None if at < 0 else at - strings.offset

    def _find(self, section_type: int) -> Section | None:
        return next((s for s in self._sections if s.type == section_type), None)

    def _string(self, section: Section, number: int) -> str:
        start = self._sections[section.link].offset + number
        return self._data[start : self._data.find(b"\0", start)].decode()
