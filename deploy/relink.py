"""Relink two extension modules to run on an older glibc than they were built for.

``ml-metadata`` and ``tensorflow-data-validation`` only have wheels for glibc 2.39. They use six
symbols of it, all of which can be replaced, so this script edits the dynamic symbol tables of the
two modules.

- A symbol with an older equivalent gets its name and version (``_RENAMED``).
- A symbol that is never called becomes weak: the loader leaves it undefined (``_WEAKENED``).
- Versions that no symbol needs anymore become weak: the loader no longer requires them.

Run it with the Python of the packages after every installation::

    .venv/bin/python deploy/relink.py

It changes nothing if glibc is new enough or if the modules are already relinked.
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
REQUIRED_GLIBC = (2, 39)  # required by the wheels (manylinux_2_39)

_RENAMED = {
    # The C23 variants only differ in accepting binary numbers such as "0b101" with base 0 or 2.
    "__isoc23_strtol": "strtol",
    "__isoc23_strtoll": "strtoll",
    "__isoc23_strtoul": "strtoul",
    "__isoc23_strtoull": "strtoull",
    # Called when an exception escapes a noexcept function: std::terminate, which aborts.
    "__cxa_call_terminate": "abort",
}
_REPLACEMENT_VERSION = ("libc.so.6", "GLIBC_2.2.5")  # of all replacements; the oldest on x86-64

_WEAKENED = frozenset(
    {
        # An empty function that marks that the library initializes std::cout.
        "_ZSt21ios_base_library_initv",
    }
)

# Other libraries are part of the wheels, so their versions do not depend on the system.
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
"""Map a library name, such as ``libc.so.6``, to the versions that it defines on this system."""


class RelinkError(Exception):
    """A module cannot be relinked for this system."""


def missing_versions(elf: Elf, provided: Provided) -> list[VersionNeed]:
    """List the required versions that the system libraries do not have."""
    needs = [need for need in elf.needs() if need.library in _SYSTEM_LIBRARIES]
    return [need for need in needs if need.version not in provided(need.library)]


def relink(data: bytes, provided: Provided) -> bytes:
    """Remove the requirement of versions that this system does not have.

    Args:
      data: An extension module.
      provided: Versions that this system has.

    Returns:
      The relinked module, of the same length; equal to ``data`` if nothing is missing.

    Raises:
      RelinkError: If the module uses a symbol of a missing version that has no known replacement.
    """
    elf = Elf(data)
    missing = {need.index: need for need in missing_versions(elf, provided)}
    changed = bytearray(data)
    for symbol in elf.imports():
        if symbol.index not in missing:
            continue
        if symbol.name in _RENAMED:
            name, index = _find_replacement(elf, symbol.name)
            struct.pack_into("<I", changed, symbol.offset, name)
            VERSION_INDEX.pack_into(changed, symbol.index_offset, index)
        elif symbol.name in _WEAKENED:
            fields = list(SYMBOL.unpack_from(data, symbol.offset))
            fields[1] = STB_WEAK << 4 | symbol.info & 0xF
            SYMBOL.pack_into(changed, symbol.offset, *fields)
        else:
            need = missing[symbol.index]
            raise RelinkError(
                f"{symbol.name} of {need.version} is missing in {need.library} of this system, and "
                "has no known replacement. Use glibc 2.39 or newer (Debian 13, Ubuntu 24.04)."
            )
    for need in missing.values():
        (flags,) = struct.unpack_from("<H", data, need.flags_offset)
        struct.pack_into("<H", changed, need.flags_offset, flags | VER_FLG_WEAK)
    return bytes(changed)


def _find_replacement(elf: Elf, name: str) -> tuple[int, int]:
    """Return the string offset and the version index of the older symbol."""
    replacement = _RENAMED[name]
    number = elf.find_name(replacement)
    index = next(
        (n.index for n in elf.needs() if (n.library, n.version) == _REPLACEMENT_VERSION), None
    )
    if number is None or index is None:
        raise RelinkError(f"{name} cannot be replaced: the module does not name {replacement}.")
    return number, index


class _LinkMap(ctypes.Structure):
    """The first fields of glibc's ``struct link_map``."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


@functools.cache
def system_versions(library: str) -> frozenset[str]:
    """Return the versions that a library of this system defines; the loader locates the library."""
    try:
        handle = ctypes.CDLL(library)
    except OSError as error:
        raise RelinkError(f"{library} is missing on this system: {error}") from error
    link_map = ctypes.POINTER(_LinkMap)()
    rtld_di_linkmap = 2
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    if dlinfo(handle._handle, rtld_di_linkmap, ctypes.byref(link_map)) != 0:
        raise RelinkError(f"The loader cannot locate {library}.")
    return frozenset(Elf(Path(os.fsdecode(link_map.contents.name)).read_bytes()).definitions())


def glibc_version() -> tuple[int, int]:
    """Return the major and minor version of the C library.

    Raises:
      RelinkError: If the C library is not glibc.
    """
    try:
        _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except ValueError:
        raise RelinkError(
            "TFX needs Linux with glibc; this system has another C library."
        ) from None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def relink_file(path: Path, provided: Provided) -> bool:
    """Relink a module, and return whether it changed.

    Installers hard-link files from a cache shared with other environments, so the module is
    replaced by a new file and not modified in place.
    """
    try:
        data = path.read_bytes()
        changed = relink(data, provided)
    except (ElfError, RelinkError) as error:
        raise RelinkError(f"{path}: {error}") from None
    if changed == data:
        return False
    handle, tmp_path = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(changed)
        shutil.copymode(path, tmp_path)
        os.replace(tmp_path, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(tmp_path)
        raise
    return True


def find_unloadable_modules(site_packages: Path, provided: Provided) -> Iterator[tuple[Path, str]]:
    """Find modules of other packages that cannot be loaded, with the missing versions."""
    for path in sorted(site_packages.rglob("*.so*")):
        if path.relative_to(site_packages).parts[0] in PACKAGES or not path.is_file():
            continue
        with contextlib.suppress(ElfError, ValueError):  # another architecture, or an empty file
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                missing = [need for need in missing_versions(Elf(data), provided) if not need.weak]
            if missing:
                yield path, ", ".join(sorted({need.version for need in missing}))


def relink_packages(site_packages: Path, provided: Provided) -> None:
    """Relink the modules of ``PACKAGES``, and warn about others that cannot be loaded."""
    folders = [site_packages / package for package in PACKAGES]
    modules = [path for folder in folders for path in sorted(folder.rglob("*.so"))]
    if not modules:
        raise RelinkError(f"{site_packages} has no modules of {', '.join(PACKAGES)}. Install them.")
    for path in modules:
        if relink_file(path, provided):
            print(f"relinked {path.relative_to(site_packages)}")
    for path, versions in find_unloadable_modules(site_packages, provided):
        name = path.relative_to(site_packages)
        print(
            f"relink: {name} cannot be loaded on this system, it needs {versions}", file=sys.stderr
        )


def main() -> int:
    """Relink the packages of the running Python."""
    parser = argparse.ArgumentParser(description="Let the TFX wheels run on an older glibc.")
    parser.add_argument(
        "--site-packages",
        type=Path,
        default=Path(sysconfig.get_path("platlib")),
        help="folder of the packages (default: that of this Python)",
    )
    site_packages: Path = parser.parse_args().site_packages
    try:
        if glibc_version() < REQUIRED_GLIBC:
            relink_packages(site_packages, system_versions)
    except RelinkError as error:
        print(f"relink: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
