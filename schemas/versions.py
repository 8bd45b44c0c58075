"""Pushed versions of a model: one folder each, named by the version number."""

from pathlib import Path

ROLLED_BACK_FOLDER = ".rolled-back"
"""Subfolder of the version folder that holds the versions withdrawn by ``diptych rollback``."""


def is_saved_model(folder: Path) -> bool:
    """Return True if the folder contains a SavedModel."""
    return (folder / "saved_model.pb").is_file()


def list_versions(folder: Path) -> list[Path]:
    """List the complete versions in a folder, newest last.

    A version that is still being pushed has a hidden name and is not listed.
    """
    children = folder.iterdir() if folder.is_dir() else iter(())
    versions = [path for path in children if path.name.isdecimal() and is_saved_model(path)]
    return sorted(versions, key=lambda path: int(path.name))


def newest_version(path: Path) -> Path | None:
    """Return the path itself if it is a model, else the newest version in it, else None."""
    if is_saved_model(path):
        return path
    return next(reversed(list_versions(path)), None)


def list_rolled_back(folder: Path) -> list[Path]:
    """List the versions of a folder that were rolled back, newest last."""
    return list_versions(folder / ROLLED_BACK_FOLDER)
