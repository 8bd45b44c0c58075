"""What a pushed model's folder says of itself: ``assets.extra/manifest.json``.

Its digests are those of ``sha256sum``. They tell a changed or partial folder, not a forged one:
who can write the model can write the manifest.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import pydantic

from diptych.schemas.errors import ModelError
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import write_json

_PLACE = Path("assets.extra", "manifest.json")


class File(pydantic.BaseModel):
    """One file of the folder."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str


class ModelManifest(pydantic.BaseModel):
    """Of one version.

    ``configuration`` are the sections that the model depends on, as ``diptych run`` was given
    them; ``data`` says which span of data it has seen, and the fingerprint of their files.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    name: str
    version: int
    created: str  # ISO 8601, UTC
    inputs: Inputs
    embedding_size: int
    distance: str
    threshold: float
    data: dict[str, Any]
    figures: dict[str, float]
    configuration: dict[str, Any]
    packages: dict[str, str]
    files: dict[str, File]  # by path in the folder, all but this one

    def write(self, folder: Path) -> None:
        """Writes it into the folder of the version."""
        write_json(self, folder / _PLACE)

    @classmethod
    def read(cls, folder: Path) -> "ModelManifest":
        """Reads it, without a look at the other files.

        Raises:
          ModelError: there is none, or none of this format.
        """
        try:
            content = (folder / _PLACE).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{folder} is no pushed model: it has no {_PLACE} ({error.strerror}). Needed is a "
                "folder such as serving/1763778845, as a run pushes it."
            ) from error
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError as error:
            raise ModelError(
                f"{folder / _PLACE} is damaged, or of another version of Diptych: "
                f"{error.error_count()} of its values do not fit. Push the model again."
            ) from error

    def check(self, folder: Path) -> None:
        """Compares every file with its digest.

        Raises:
          ModelError: a file is missing, changed, or not of the model.
        """
        found = {path.relative_to(folder).as_posix() for path in _files(folder)}
        # What a link leads to may change later, and a pipe never ends.
        odd = {name for name in found if not _is_plain(folder / name)}
        faults = [f"{name} is missing" for name in sorted(self.files.keys() - found)]
        faults += [f"{name} does not belong to it" for name in sorted(found - self.files.keys())]
        faults += [f"{name} is no plain file" for name in sorted(odd & self.files.keys())]
        faults += [
            f"{name} has changed"
            for name in sorted((found & self.files.keys()) - odd)
            if describe(folder / name) != self.files[name]
        ]
        if faults:
            more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise ModelError(
                f"The model in {folder} is not as it was pushed: {', '.join(faults[:3])}{more}. "
                "Use another version, or push it again."
            )


def digest_of(folder: Path) -> str:
    """Digest of a version's manifest, which has those of all its files: names this very model."""
    return describe(folder / _PLACE).sha256


def check_if_pushed(folder: Path) -> None:
    """Compares a model with its manifest; one that was exported and never pushed has none.

    Raises:
      ModelError: it is not as it was pushed.
    """
    if (folder / _PLACE).is_file():
        ModelManifest.read(folder).check(folder)


def describe(path: Path) -> File:
    """Size and digest of a file."""
    with path.open("rb") as file:
        return File(
            size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest()
        )


def files_of(folder: Path) -> dict[str, File]:
    """All files of a model's folder but the manifest, described."""
    return {path.relative_to(folder).as_posix(): describe(path) for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    every = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    return [path for path in every if path != folder / _PLACE]


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
