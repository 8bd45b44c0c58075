"""Which versions are served: the newest, and the one before it."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from diptych.schemas.errors import DiptychError, ModelError
from diptych.schemas.versions import is_model, versions

_KEPT = 2
_log = logging.getLogger(__name__)
Model = TypeVar("Model")


@dataclasses.dataclass(eq=False)
class Version(Generic[Model]):
    """One that is served; ``in_flight`` requests have begun with it and not ended."""

    number: int
    model: Model
    in_flight: int = 0


class ModelWatch(Generic[Model]):
    """Takes up versions as they are pushed; a broken one is refused, and the others stay.

    One whose folder is gone (``diptych rollback`` moves the newest away) is no longer served as
    soon as another one is; where there is no other one, it stays.

    All of it runs in one event loop, but for ``load`` and ``unload``, which run in a thread.

    Args:
      path: folder of versions, or one version, which is then the only one.
      load: makes a version ready to be used; raises DiptychError if that cannot be.
      unload: undoes it, when the last of its requests has ended.
    """

    def __init__(
        self, path: Path, load: Callable[[Path], Model], unload: Callable[[Model], None]
    ) -> None:
        self._path = path
        self._load = load
        self._unload = unload
        self._served: list[Version[Model]] = []  # the newest last
        self._retired: list[Version[Model]] = []  # until their requests have ended
        self._refused: dict[int, tuple[tuple[int, int], str]] = {}

    async def look(self) -> Version[Model] | None:
        """Looks for versions that came or went, once; the one that it took up, or None."""
        await self._end_retired()
        found = self._found()
        there = {int(folder.name) for folder in found}
        taken = await self._take_up(found)
        if any(version.number in there for version in self._served):
            self._retire([version for version in self._served if version.number not in there])
        self._retire(self._served[:-_KEPT])
        return taken

    async def _take_up(self, found: list[Path]) -> Version[Model] | None:
        """Takes up the newest of the folders that can be loaded, if it is not served already."""
        served = {version.number for version in self._served}
        ending = {version.number for version in self._retired}  # under its number, the next time
        for folder in reversed(found):
            number = int(folder.name)
            if number in served:
                break
            state = _state(folder)
            if number in ending or self._refused.get(number, (None, ""))[0] == state:
                continue
            try:
                model = await asyncio.to_thread(self._load, folder)
            except DiptychError as error:
                reason = " ".join(str(error).split())
                _log.warning("Version %d is refused: %s", number, reason)
                self._refused[number] = (state, reason)
                continue
            self._refused.pop(number, None)
            taken = Version(number, model)
            self._served = sorted([*self._served, taken], key=lambda version: version.number)
            return taken
        return None

    def _retire(self, versions: list[Version[Model]]) -> None:
        self._retired += versions
        self._served = [version for version in self._served if version not in versions]

    @contextlib.contextmanager
    def use(self, number: int | None = None) -> Iterator[Model]:
        """The newest version, or that of a number, which stays until the end of the context.

        Raises:
          LookupError: it is not served.
        """
        found = [version for version in self._served if number in (None, version.number)]
        if not found:
            raise LookupError(number)
        version = found[-1]
        version.in_flight += 1
        try:
            yield version.model
        finally:
            version.in_flight -= 1

    @property
    def newest(self) -> Model:
        """Of those that are served.

        Raises:
          LookupError: there is none.
        """
        if not self._served:
            raise LookupError("no version")
        return self._served[-1].model

    @property
    def served(self) -> list[int]:
        """Their numbers, the newest last."""
        return [version.number for version in self._served]

    @property
    def refused(self) -> dict[int, str]:
        """Numbers of versions newer than all that are served, and why they are not."""
        newest = self.served[-1] if self._served else -1
        return {
            number: reason
            for number, (_, reason) in sorted(self._refused.items())
            if number > newest
        }

    async def _end_retired(self) -> None:
        ended = [version for version in self._retired if not version.in_flight]
        self._retired = [version for version in self._retired if version.in_flight]
        for version in ended:
            await asyncio.to_thread(self._unload, version.model)

    def _found(self) -> list[Path]:
        if is_model(self._path):
            if not self._path.name.isdecimal():
                raise ModelError(
                    "The folder of a version is named by its number, as 1763778845, and this one "
                    f"is {self._path}. Rename it."
                )
            return [self._path]
        return versions(self._path)


def _state(folder: Path) -> tuple[int, int]:
    """Another one when the version is pushed again under its number."""
    try:
        stat = folder.stat()
    except OSError:  # removed meanwhile
        return (0, 0)
    return (stat.st_ino, stat.st_mtime_ns)
