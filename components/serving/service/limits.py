"""The limits of pictures that a model was trained within."""

from diptych.schemas.config import ImageFolder
from diptych.schemas.manifest import ModelManifest


def picture_limits(manifest: ModelManifest) -> tuple[int, int]:
    """Bytes and pixels of the largest picture, as the section ``data`` says."""
    data = manifest.configuration.get("data", {})
    fields = ImageFolder.model_fields
    return (
        data.get("max_bytes", fields["max_bytes"].default),
        data.get("max_pixels", fields["max_pixels"].default),
    )
