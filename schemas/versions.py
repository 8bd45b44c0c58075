"""Pushed models: a folder for each version, named by its number."""

from pathlib import Path

ROLLED_BACK = ".rolled-back"
"""Where, in the folder of versions, those lie that were in production and no longer are to be."""


def is_model(folder: Path) -> bool:
    """Whether it is a SavedModel."""
    return (folder / "saved_model.pb").is_file()


def versions(folder: Path) -> list[Path]:
    """The versions in a folder, the newest last; one that is still being pushed is hidden."""
    inside = folder.iterdir() if folder.is_dir() else iter(())
    found = [path for path in inside if path.name.isdecimal() and is_model(path)]
    return sorted(found, key=lambda path: int(path.name))


def newest(path: Path) -> Path | None:
    """The path itself if it is a model, else the newest version in it; None: there is none."""
    if is_model(path):
        return path
    return next(reversed(versions(path)), None)


def rolled_back(folder: Path) -> list[Path]:
    """The versions of a folder that were rolled back, the newest last."""
    return versions(folder / ROLLED_BACK)
