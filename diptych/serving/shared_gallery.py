"""The gallery of a service, whichever of the served versions it is of."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diptych.schemas.errors import DataError, DiptychError, ModelError
from diptych.serving.http_errors import Refusal
from diptych.serving.json_examples import Raw
from diptych.serving.model_watch import ModelWatch
from diptych.serving.served_model import ServedModel

if TYPE_CHECKING:
    from diptych.inference.gallery import Enrolled, Gallery


class SharedGallery:
    """A gallery that others may write, too; its embeddings are of one version of the model.

    After a new version was pushed, it is used with the one before, as long as that is served;
    after it was embedded anew, with the new one.

    Args:
      folder: of the gallery; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[int, Gallery] = {}
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def model(
        self, watch: ModelWatch[ServedModel]
    ) -> AsyncIterator[tuple[ServedModel, "Gallery"]]:
        """The newest version that the gallery is of, and the gallery as it is now.

        Raises:
          Refusal: no version that is served made its embeddings.
        """
        served = watch.served
        self._opened = {number: one for number, one in self._opened.items() if number in served}
        reason = ""
        for number in reversed(served):
            if number not in watch.served:  # dropped while another one was being opened
                continue
            with watch.use(number) as model:
                try:
                    async with self._opening:
                        gallery = await asyncio.to_thread(self._open, model)
                except ModelError as error:
                    reason = reason or str(error)
                    continue
                yield model, gallery
                return
        raise Refusal(409, reason)

    async def enroll(
        self,
        gallery: "Gallery",
        label: str,
        embeddings: np.ndarray,
        sources: Sequence[str],
        raw: Raw,
    ) -> "Enrolled":
        """Adds examples of one class; a source is the name of a file, or empty.

        Raises:
          Refusal: the gallery does not take them.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        named = [f"HTTP {now} {source}".strip() for source in sources or [""] * len(raw)]
        values = np.empty(len(raw), object)
        values[:] = raw if isinstance(raw, list) else list(raw)
        try:
            return await asyncio.to_thread(
                gallery.enroll,
                [label] * len(raw),
                embeddings,
                named,
                values if isinstance(raw, list) else raw,
            )
        except DataError as error:
            raise Refusal(400, str(error)) from None
        except DiptychError as error:
            raise Refusal(409, str(error)) from None

    def _open(self, model: ServedModel) -> "Gallery":
        from diptych.inference.gallery import Gallery

        number = model.manifest.version
        known = self._opened.get(number)
        if known is None:
            known = self._opened[number] = Gallery.create_or_open(self._folder, model.pushed)
        else:
            known.refresh()
        return known
