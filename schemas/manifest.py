"""Manifest of a pushed model: ``assets.extra/manifest.json`` in the folder of the version.

The digests are those of ``sha256sum``. They detect a changed or incomplete folder, not a forged
one: whoever can write the model can also write the manifest.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from diptych.schemas.config.data import check_encoding_name
from diptych.schemas.errors import ModelError
from diptych.schemas.files import read_regular_file
from diptych.schemas.input_spec import EmbeddingSize, ModelInputs
from diptych.schemas.json_model import Float32, JsonModel, write_json

_MANIFEST_PATH = Path("assets.extra", "manifest.json")
_MAX_MANIFEST_BYTES = 64 * 2**20


class FileDigest(JsonModel):
    """Size and SHA-256 of a file."""

    size: int
    sha256: str


class _DataSection(pydantic.BaseModel):
    """Keys of the section ``data`` that the readers of raw examples use."""

    label: str | None = None
    id: str | None = None
    follow_links: str | None = None
    max_bytes: pydantic.PositiveInt | None = None
    max_pixels: pydantic.PositiveInt | None = None
    encoding: Annotated[str | None, pydantic.AfterValidator(check_encoding_name)] = None
    delimiter: Annotated[str, pydantic.Field(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | None = None
    missing: tuple[str, ...] | None = None


class ModelManifest(JsonModel):
    """Description of one pushed version, with the digests of its files.

    ``configuration`` holds the sections that the model depends on, as passed to ``diptych run``;
    ``data`` holds the span of the training data and the fingerprint of its files.
    """

    format: Literal[1] = 1
    name: str
    version: int
    created: str  # ISO 8601, UTC
    inputs: ModelInputs
    embedding_size: EmbeddingSize
    distance: str
    threshold: Float32
    data: dict[str, Any]
    metrics: dict[str, float]
    configuration: dict[str, dict[str, Any]]
    packages: dict[str, str]
    files: dict[str, FileDigest]  # keyed by path in the folder; without the manifest itself

    @pydantic.field_validator("configuration")
    @classmethod
    def _check_data(cls, configuration: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        _DataSection.model_validate(configuration.get("data", {}))
        return configuration

    def write(self, folder: Path) -> None:
        """Write the manifest into the folder of the version."""
        write_json(self, folder / _MANIFEST_PATH)

    @classmethod
    def read(cls, folder: Path) -> "ModelManifest":
        """Read the manifest without verifying the other files.

        Raises:
          ModelError: If the manifest is missing or has an unexpected format.
        """
        try:
            content = read_regular_file(folder / _MANIFEST_PATH, _MAX_MANIFEST_BYTES)
        except OSError as error:
            raise ModelError(
                f"{folder} is not a pushed model: {_MANIFEST_PATH} is missing ({error.strerror}). "
                "Pass a folder that a run has pushed, such as serving/1763778845."
            ) from error
        try:
            return cls.model_validate_json(content)
        except pydantic.ValidationError as error:
            raise ModelError(
                f"{folder / _MANIFEST_PATH} is damaged or was written by another version of "
                f"Diptych: {error.error_count()} invalid values. Push the model again."
            ) from error

    def verify(self, folder: Path) -> None:
        """Compare every file of the folder with its digest.

        Raises:
          ModelError: If a file is missing, changed, or not listed in the manifest.
        """
        present = {path.relative_to(folder).as_posix() for path in _list_model_files(folder)}
        # The target of a link may change later, and reading a pipe never ends.
        irregular = {name for name in present if not _is_regular_file(folder / name)}
        faults = [f"{name} is missing" for name in sorted(self.files.keys() - present)]
        faults += [
            f"{name} is not part of the model" for name in sorted(present - self.files.keys())
        ]
        faults += [
            f"{name} is not a regular file" for name in sorted(irregular & self.files.keys())
        ]
        faults += [
            f"{name} has changed"
            for name in sorted((present & self.files.keys()) - irregular)
            if compute_digest(folder / name) != self.files[name]
        ]
        if faults:
            more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise ModelError(
                f"The model in {folder} differs from its manifest: {', '.join(faults[:3])}{more}. "
                "Use another version, or push the model again."
            )


def manifest_digest(folder: Path) -> str:
    """Return the SHA-256 of a version's manifest.

    The manifest contains the digests of all files, so its digest identifies the model.
    """
    return compute_digest(folder / _MANIFEST_PATH).sha256


def verify_if_pushed(folder: Path) -> None:
    """Compare a model with its manifest; a model that was only exported has none.

    Raises:
      ModelError: If the model differs from its manifest.
    """
    if (folder / _MANIFEST_PATH).is_file():
        ModelManifest.read(folder).verify(folder)


def compute_digest(path: Path) -> FileDigest:
    """Compute the size and the SHA-256 of a file."""
    with path.open("rb") as file:
        return FileDigest(
            size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest()
        )


def compute_digests(folder: Path) -> dict[str, FileDigest]:
    """Compute the digests of all files of a model except the manifest, keyed by relative path."""
    return {
        path.relative_to(folder).as_posix(): compute_digest(path)
        for path in _list_model_files(folder)
    }


def _list_model_files(folder: Path) -> list[Path]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    return [path for path in paths if path != folder / _MANIFEST_PATH]


def _is_regular_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
