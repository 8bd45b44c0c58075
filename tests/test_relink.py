"""Relink a small hand-made ELF file and the installed modules."""

import os
import stat
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import elf
import relink

SITE_PACKAGES = Path(sysconfig.get_path("platlib"))
INSTALLED = sorted(
    path for package in relink.PACKAGES for path in (SITE_PACKAGES / package).rglob("*.so")
)
GLOBAL_FUNCTION, WEAK_FUNCTION = 0x12, 0x22

VERSIONS = {  # (library, version) -> index
    ("libc.so.6", "GLIBC_2.2.5"): 2,
    ("libc.so.6", "GLIBC_2.38"): 3,
    ("libstdc++.so.6", "GLIBCXX_3.4"): 4,
    ("libstdc++.so.6", "GLIBCXX_3.4.32"): 5,
    ("libstdc++.so.6", "CXXABI_1.3.15"): 6,
}
SYMBOLS = [  # name, index of the version
    ("abort", 2),
    ("strlen", 2),
    ("__isoc23_strtol", 3),
    ("__isoc23_strtoull", 3),
    ("_ZNSt8ios_base4InitC1Ev", 4),
    ("_ZSt21ios_base_library_initv", 5),
    ("__cxa_call_terminate", 6),
]
NEW = {"GLIBC_2.38", "GLIBCXX_3.4.32", "CXXABI_1.3.15"}


def old_system(library):
    return frozenset(v for of, v in VERSIONS if of == library and v not in NEW)


def new_system(library):
    return frozenset(v for of, v in VERSIONS if of == library)


def make_elf(symbols=SYMBOLS):
    """Build an ELF file with only the symbol and version tables. It cannot be loaded."""
    strings = bytearray(b"\0")

    def number(text):
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text) - 1

    dynsym, versym = bytearray(24), bytearray(2)
    for name, index in symbols:
        dynsym += struct.pack("<IBBHQQ", number(name), GLOBAL_FUNCTION, 0, 0, 0, 0)
        versym += struct.pack("<H", index)
    dynsym += struct.pack("<IBBHQQ", number("own_function"), GLOBAL_FUNCTION, 0, 7, 64, 8)
    versym += struct.pack("<H", 1)

    verneed = bytearray()
    libraries = list(dict.fromkeys(library for library, _ in VERSIONS))
    for library in libraries:
        wanted = [(v, index) for (of, v), index in VERSIONS.items() if of == library]
        to_next = 0 if library == libraries[-1] else 16 + 16 * len(wanted)
        verneed += struct.pack("<HHIII", 1, len(wanted), number(library), 16, to_next)
        for at, (version, index) in enumerate(wanted, start=1):
            to_next = 0 if at == len(wanted) else 16
            verneed += struct.pack("<IHHII", 0, 0, index, number(version), to_next)

    sections = [(0, b""), (11, dynsym), (3, strings), (0x6FFFFFFF, versym), (0x6FFFFFFE, verneed)]
    body, headers = bytearray(), bytearray()
    for kind, content in sections:
        headers += struct.pack(
            "<IIQQQQIIQQ", 0, kind, 0, 0, 64 + len(body), len(content), 2, 0, 1, 0
        )
        body += content
    start = struct.pack("<6s58x", b"\x7fELF\x02\x01")
    header = bytearray(start)
    struct.pack_into("<Q", header, 40, 64 + len(body))
    struct.pack_into("<HH", header, 58, 64, len(sections))
    return bytes(header + body + headers)


def imported(data):
    """Return the name, version index and binding of each imported symbol."""
    return [(s.name, s.index, s.info) for s in elf.Elf(data).imports()]


def required_versions(data):
    return {need.version for need in elf.Elf(data).needs() if not need.weak}


def test_new_symbols_are_replaced_on_an_old_system():
    # "strtol" is the suffix of "__isoc23_strtol", so the string table needs no new entry
    assert imported(relink.relink(make_elf(), old_system)) == [
        ("abort", 2, GLOBAL_FUNCTION),
        ("strlen", 2, GLOBAL_FUNCTION),
        ("strtol", 2, GLOBAL_FUNCTION),
        ("strtoull", 2, GLOBAL_FUNCTION),
        ("_ZNSt8ios_base4InitC1Ev", 4, GLOBAL_FUNCTION),
        ("_ZSt21ios_base_library_initv", 5, WEAK_FUNCTION),
        ("abort", 2, GLOBAL_FUNCTION),
    ]


def test_new_versions_are_no_longer_required():
    data = make_elf()
    assert required_versions(data) == {version for _, version in VERSIONS}
    assert required_versions(relink.relink(data, old_system)) == {"GLIBC_2.2.5", "GLIBCXX_3.4"}


def test_length_is_unchanged():
    assert len(relink.relink(make_elf(), old_system)) == len(make_elf())


def test_nothing_changes_on_a_new_system():
    assert relink.relink(make_elf(), new_system) == make_elf()


def test_relinking_is_idempotent():
    once = relink.relink(make_elf(), old_system)
    assert relink.relink(once, old_system) == once


def test_unknown_symbol_is_an_error():
    data = make_elf([*SYMBOLS, ("__isoc23_sscanf", 3)])
    with pytest.raises(relink.RelinkError, match=r"__isoc23_sscanf of GLIBC_2\.38 .* glibc 2\.39"):
        relink.relink(data, old_system)


def test_missing_name_of_the_replacement_is_an_error():
    with pytest.raises(relink.RelinkError, match="does not name abort"):
        relink.relink(make_elf(SYMBOLS[1:]), old_system)


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(80), make_elf()[:-1]]
)
def test_other_files_raise_an_error_with_the_file_name(tmp_path, data):
    path = tmp_path / "module.so"
    path.write_bytes(data)
    with pytest.raises(relink.RelinkError, match=r"module\.so: "):
        relink.relink_file(path, old_system)


def test_new_file_has_the_name_and_mode_of_the_old_file(tmp_path):
    path, in_cache = tmp_path / "module.so", tmp_path / "cache.so"
    path.write_bytes(make_elf())
    path.chmod(0o754)
    os.link(path, in_cache)
    assert relink.relink_file(path, old_system)
    assert path.read_bytes() == relink.relink(make_elf(), old_system)
    assert in_cache.read_bytes() == make_elf()
    assert stat.S_IMODE(path.stat().st_mode) == 0o754
    assert sorted(os.listdir(tmp_path)) == ["cache.so", "module.so"]

    before = path.stat()
    assert not relink.relink_file(path, old_system)
    assert path.stat() == before


def make_packages(folder):
    """Create a folder like site-packages, with one of the packages and another one."""
    for name in ("ml_metadata/a/extension.so", "other/b.so"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(make_elf())
    (folder / "other" / "empty.so").touch()
    return folder


def test_other_packages_are_not_changed_but_reported(tmp_path, capsys):
    relink.relink_packages(make_packages(tmp_path), old_system)
    assert (tmp_path / "other/b.so").read_bytes() == make_elf()
    assert (tmp_path / "ml_metadata/a/extension.so").read_bytes() != make_elf()
    output = capsys.readouterr()
    assert output.out == "relinked ml_metadata/a/extension.so\n"
    assert output.err == (
        "relink: other/b.so cannot be loaded on this system, "
        "it needs CXXABI_1.3.15, GLIBCXX_3.4.32, GLIBC_2.38\n"
    )


def test_missing_packages_are_an_error(tmp_path):
    with pytest.raises(relink.RelinkError, match="has no modules of ml_metadata"):
        relink.relink_packages(tmp_path, old_system)


@pytest.mark.parametrize(("version", "relinks"), [("2.36", True), ("2.39", False), ("2.41", False)])
def test_program_changes_nothing_on_new_systems(tmp_path, monkeypatch, version, relinks):
    make_packages(tmp_path)
    monkeypatch.setattr(os, "confstr", lambda name: f"glibc {version}")
    monkeypatch.setattr(relink, "system_versions", old_system)
    monkeypatch.setattr(sys, "argv", ["relink.py", "--site-packages", str(tmp_path)])
    assert relink.main() == 0
    changed = (tmp_path / "ml_metadata/a/extension.so").read_bytes() != make_elf()
    assert changed is relinks


def test_program_reports_errors_in_one_line(tmp_path, monkeypatch, capsys):
    def no_glibc(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", no_glibc)
    monkeypatch.setattr(sys, "argv", ["relink.py", "--site-packages", str(tmp_path)])
    assert relink.main() == 1
    assert capsys.readouterr().err == (
        "relink: TFX needs Linux with glibc; this system has another C library.\n"
    )


def test_system_versions_are_listed():
    assert "GLIBC_2.2.5" in relink.system_versions("libc.so.6")
    assert "GLIBCXX_3.4" in relink.system_versions("libstdc++.so.6")
    with pytest.raises(relink.RelinkError, match=r"libnowhere\.so\.1 is missing"):
        relink.system_versions("libnowhere.so.1")


@pytest.mark.parametrize("path", INSTALLED, ids=lambda path: path.stem)
def test_installed_modules_load_after_relinking(tmp_path, path):
    def old(library):
        return relink.system_versions(library) - NEW

    data = path.read_bytes()
    relinked = relink.relink(data, old)
    assert not required_versions(relinked) & NEW
    assert relink.relink(relinked, old) == relinked

    copy = tmp_path / path.name
    copy.write_bytes(relinked)
    for module in (path, copy):  # as installed, and as relinked for an old system
        load = (
            "import importlib.util as u, sys; s = u.spec_from_file_location(*sys.argv[1:]);"
            "print(u.module_from_spec(s).__name__)"
        )
        result = subprocess.run(
            [sys.executable, "-c", load, path.stem, module],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.stdout.strip(), result.returncode) == (path.stem, 0), result.stderr


def test_both_packages_are_installed():
    installed = {path.relative_to(SITE_PACKAGES).parts[0] for path in INSTALLED}
    assert installed == set(relink.PACKAGES)
