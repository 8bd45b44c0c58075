"""Gallery of the service, used with the served version that computed its embeddings."""

import asyncio
import datetime
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diptych.schemas.errors import DataError, DiptychError, ModelError
from diptych.serving.http_errors import ApiError
from diptych.serving.json_examples import RawExamples
from diptych.serving.served_model import ServedModel
from diptych.serving.version_watcher import VersionWatcher

if TYPE_CHECKING:
    from diptych.inference.gallery import EnrollResult, Gallery

_log = logging.getLogger(__name__)


class ReembeddedError(Exception):
    """The gallery was re-embedded with another version during a request, which must start again."""


class SharedGallery:
    """A gallery that other processes may also change.

    After a new version is pushed, the gallery is used with the previous version as long as that is
    served; after it is re-embedded, with the new version.

    Args:
      folder: Folder of the gallery; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[int, Gallery] = {}
        self._open_lock = asyncio.Lock()

    @asynccontextmanager
    async def open(
        self, watcher: VersionWatcher[ServedModel]
    ) -> AsyncIterator[tuple[ServedModel, "Gallery"]]:
        """Yield the newest version that matches the gallery, and the refreshed gallery.

        Raises:
          ApiError: If no served version computed the embeddings of the gallery.
          NoVersionError: If no version is served.
        """
        with watcher.use():
            pass
        served = watcher.served
        self._opened = {
            number: gallery for number, gallery in self._opened.items() if number in served
        }
        reason = ""
        for number in reversed(served):
            if number not in watcher.served:  # retired while another version was being opened
                continue
            with watcher.use(number) as model:
                try:
                    async with self._open_lock:
                        gallery = await asyncio.to_thread(self._open_or_refresh, model)
                except ModelError as error:
                    reason = reason or str(error)
                    continue
                yield model, gallery
                return
        raise ApiError(409, reason)

    async def enroll(
        self,
        gallery: "Gallery",
        label: str,
        embeddings: np.ndarray,
        file_names: Sequence[str],
        raw: RawExamples,
    ) -> "EnrollResult":
        """Add examples of one class; a file name may be empty.

        Raises:
          ApiError: If the gallery rejects the examples, is damaged or cannot be written.
          ReembeddedError: If the gallery was re-embedded with another version since ``open``.
        """
        from diptych.inference.gallery import OtherModelError
        from diptych.inference.gallery_files import GalleryWriteError

        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        sources = [f"HTTP {now} {name}".strip() for name in file_names or [""] * len(raw)]
        if isinstance(raw, list):
            values = np.empty(len(raw), object)
            values[:] = raw
        else:
            values = raw
        try:
            return await asyncio.to_thread(
                gallery.enroll, [label] * len(raw), embeddings, sources, values
            )
        except DataError as error:
            raise ApiError(400, str(error)) from None
        except OtherModelError as error:
            raise ReembeddedError from error
        except GalleryWriteError as error:
            _log.error("%s", error)
            raise ApiError(503, str(error)) from None
        except DiptychError as error:
            raise ApiError(409, str(error)) from None

    def _open_or_refresh(self, model: ServedModel) -> "Gallery":
        from diptych.inference.gallery import Gallery

        number = model.manifest.version
        gallery = self._opened.get(number)
        if gallery is None:
            gallery = self._opened[number] = Gallery.create_or_open(self._folder, model)
        else:
            gallery.refresh()
        return gallery
