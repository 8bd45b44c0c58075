"""Lets two extension modules run on a glibc older than the one they were linked for.

``ml-metadata`` and ``tensorflow-data-validation`` have wheels for glibc 2.39 only. All that they
use of it is six symbols, and they can do without: so this edits the dynamic symbol tables of the
two modules, in place of asking for a newer system.

- A symbol with an older twin takes the twin's name and version (``_RENAMED``).
- A symbol that is never called becomes weak: the loader leaves it empty (``_WEAKENED``).
- The versions that no symbol needs any more become weak: the loader does not insist on them.

Run it with the Python whose packages are meant, after every installation::

    .venv/bin/python deploy/relink.py

It does nothing where glibc is new enough, and nothing on a second run.
"""

import argparse
import contextlib
import ctypes
import functools
import mmap
import os
import shutil
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from elf import STB_WEAK, SYMBOL, VER_FLG_WEAK, VERSION_INDEX, Elf, ElfError, VersionNeed

PACKAGES = ("ml_metadata", "tensorflow_data_validation")
NEW_ENOUGH = (2, 39)  # the glibc that their wheels ask for (manylinux_2_39)

_RENAMED = {
    # C23's family differs in one thing: with base 0 or 2 it also reads binary, as "0b101".
    "__isoc23_strtol": "strtol",
    "__isoc23_strtoll": "strtoll",
    "__isoc23_strtoul": "strtoul",
    "__isoc23_strtoull": "strtoull",
    # Called when an exception leaves a noexcept function: std::terminate, which aborts.
    "__cxa_call_terminate": "abort",
}
_TWINS = ("libc.so.6", "GLIBC_2.2.5")  # the version of all of them: the first on x86-64

_WEAKENED = frozenset(
    {
        # Does nothing; its name says that std::cout is set up by the library.
        "_ZSt21ios_base_library_initv",
    }
)

# Others are found beside the module that needs them, and are no matter of the system's age.
_SYSTEM_LIBRARIES = frozenset(
    {
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libdl.so.2",
        "libgcc_s.so.1",
        "libm.so.6",
        "libpthread.so.0",
        "librt.so.1",
        "libstdc++.so.6",
    }
)

Provided = Callable[[str], frozenset[str]]
"""From a library's name, as ``libc.so.6``, to the versions that this system's copy has."""


class RelinkError(Exception):
    """A module cannot be made to run here."""


def missing_versions(elf: Elf, provided: Provided) -> list[VersionNeed]:
    """What the file asks of the system's libraries and they do not have."""
    needs = [need for need in elf.needs() if need.library in _SYSTEM_LIBRARIES]
    return [need for need in needs if need.version not in provided(need.library)]


def relink(data: bytes, provided: Provided) -> bytes:
    """The same module, free of the versions that this system does not have.

    Args:
      data: an extension module.
      provided: what this system has.

    Returns:
      The module to put in its place, of the same length; equal if there is nothing to do.

    Raises:
      RelinkError: it uses a symbol of a missing version for which no way out is known.
    """
    elf = Elf(data)
    missing = {need.index: need for need in missing_versions(elf, provided)}
    changed = bytearray(data)
    for symbol in elf.imports():
        if symbol.index not in missing:
            continue
        if symbol.name in _RENAMED:
            name, index = _find_twin(elf, symbol.name)
            struct.pack_into("<I", changed, symbol.offset, name)
            VERSION_INDEX.pack_into(changed, symbol.index_offset, index)
        elif symbol.name in _WEAKENED:
            fields = list(SYMBOL.unpack_from(data, symbol.offset))
            fields[1] = STB_WEAK << 4 | symbol.info & 0xF
            SYMBOL.pack_into(changed, symbol.offset, *fields)
        else:
            need = missing[symbol.index]
            raise RelinkError(
                f"{symbol.name} of {need.version} is not in this system's {need.library}, and has "
                "no known replacement. Use glibc 2.39 or newer, as in Debian 13 or Ubuntu 24.04."
            )
    for need in missing.values():
        (flags,) = struct.unpack_from("<H", data, need.flags_offset)
        struct.pack_into("<H", changed, need.flags_offset, flags | VER_FLG_WEAK)
    return bytes(changed)


def _find_twin(elf: Elf, name: str) -> tuple[int, int]:
    """The older symbol's name and version, as numbers."""
    twin = _RENAMED[name]
    number = elf.find_name(twin)
    index = next((n.index for n in elf.needs() if (n.library, n.version) == _TWINS), None)
    if number is None or index is None:
        raise RelinkError(f"{name} cannot be replaced: the module does not name {twin}.")
    return number, index


class _LinkMap(ctypes.Structure):
    """The first fields of glibc's ``struct link_map``."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


@functools.cache
def system_versions(library: str) -> frozenset[str]:
    """The versions that this system's copy of a library has; the loader says where that is."""
    try:
        handle = ctypes.CDLL(library)
    except OSError as error:
        raise RelinkError(f"{library} is missing on this system: {error}") from error
    found = ctypes.POINTER(_LinkMap)()
    rtld_di_linkmap = 2
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    if dlinfo(handle._handle, rtld_di_linkmap, ctypes.byref(found)) != 0:
        raise RelinkError(f"The loader does not say where {library} is.")
    return frozenset(Elf(Path(os.fsdecode(found.contents.name)).read_bytes()).definitions())


def glibc_version() -> tuple[int, int]:
    """Major and minor version of this system's C library.

    Raises:
      RelinkError: it is another one than glibc.
    """
    try:
        _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except ValueError:
        raise RelinkError("TFX needs Linux with glibc; this is another C library.") from None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def relink_file(path: Path, provided: Provided) -> bool:
    """Relinks one module and says whether there was anything to do.

    Installers hard-link files from a cache that other environments share, so a new file takes
    the old one's name and the old one stays as it is.
    """
    try:
        data = path.read_bytes()
        changed = relink(data, provided)
    except (ElfError, RelinkError) as error:
        raise RelinkError(f"{path}: {error}") from None
    if changed == data:
        return False
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(changed)
        shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    return True


def others_that_fail(site_packages: Path, provided: Provided) -> Iterator[tuple[Path, str]]:
    """Modules of other packages that will not load here, each with the versions it misses."""
    for path in sorted(site_packages.rglob("*.so*")):
        if path.relative_to(site_packages).parts[0] in PACKAGES or not path.is_file():
            continue
        with contextlib.suppress(ElfError, ValueError):  # for another machine; an empty file
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                missing = [need for need in missing_versions(Elf(data), provided) if not need.weak]
            if missing:
                yield path, ", ".join(sorted({need.version for need in missing}))


def relink_packages(site_packages: Path, provided: Provided) -> None:
    """Relinks the modules of ``PACKAGES``, and warns of others that would need it."""
    folders = [site_packages / package for package in PACKAGES]
    modules = [path for folder in folders for path in sorted(folder.rglob("*.so"))]
    if not modules:
        raise RelinkError(f"{site_packages} has no modules of {', '.join(PACKAGES)}. Install them.")
    for path in modules:
        if relink_file(path, provided):
            print(f"relinked {path.relative_to(site_packages)}")
    for path, versions in others_that_fail(site_packages, provided):
        name = path.relative_to(site_packages)
        print(f"relink: {name} will not load here, it needs {versions}", file=sys.stderr)


def main() -> int:
    """Relinks the packages of the running Python."""
    parser = argparse.ArgumentParser(description="Let the TFX wheels run on an older glibc.")
    parser.add_argument(
        "--site-packages",
        type=Path,
        default=Path(sysconfig.get_path("platlib")),
        help="the folder of the packages (default: that of this Python)",
    )
    site_packages: Path = parser.parse_args().site_packages
    try:
        if glibc_version() < NEW_ENOUGH:
            relink_packages(site_packages, system_versions)
    except RelinkError as error:
        print(f"relink: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
