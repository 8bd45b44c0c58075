"""Watch a folder of pushed versions; serve the newest version and the one before it."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from diptych.schemas.errors import DiptychError, ModelError
from diptych.schemas.versions import is_saved_model, list_versions

_MAX_SERVED = 2
_log = logging.getLogger(__name__)
ModelT = TypeVar("ModelT")


@dataclasses.dataclass(eq=False)
class LoadedVersion(Generic[ModelT]):
    """A loaded version.

    Attributes:
      number: Its number.
      model: What ``load`` has returned.
      in_flight: Number of unfinished requests.
      is_broken: True if it has stopped working.
    """

    number: int
    model: ModelT
    in_flight: int = 0
    is_broken: bool = False


class NoVersionError(LookupError):
    """No version works."""


class VersionWatcher(Generic[ModelT]):
    """Loads new versions as they are pushed; a version that fails to load is refused.

    A version that stops working is refused as well, and another one is loaded if necessary. If none
    can be, it is kept, and works again as soon as ``check`` accepts it.

    A version whose folder disappears (``diptych rollback`` moves the newest version away) is served
    until another version is available.

    All methods run in one event loop; ``load`` and ``unload`` are called in threads.

    Args:
      path: Folder of versions, or a single version.
      load: Loads a version; raises DiptychError if that fails.
      unload: Unloads a version after its last request.
      check: Checks whether a loaded version works; raises DiptychError if it does not.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[Path], ModelT],
        unload: Callable[[ModelT], None],
        check: Callable[[ModelT], None],
    ) -> None:
        self._path = path
        self._load = load
        self._unload = unload
        self._check = check
        self._served: list[LoadedVersion[ModelT]] = []  # newest last
        self._retired: list[LoadedVersion[ModelT]] = []  # until their requests have ended
        self._refused: dict[int, tuple[tuple[int, int], str]] = {}  # folder state and reason

    async def poll(self) -> LoadedVersion[ModelT] | None:
        """Check once for added, removed and broken versions.

        Returns:
          The version that was loaded, or None.
        """
        await self._unload_retired()
        folders = self._list_folders()
        present = {int(folder.name) for folder in folders}
        await self._check_loaded({int(folder.name): folder for folder in folders})
        loaded = await self._load_newest(folders)
        if self.served:
            self._retire([version for version in self._served if version.is_broken])
        if any(version.number in present for version in self._served):
            self._retire([version for version in self._served if version.number not in present])
        self._retire(self._served[:-_MAX_SERVED])
        return loaded

    async def _check_loaded(self, folders: dict[int, Path]) -> None:
        """Refuse the versions that have stopped working."""
        for version in self._served:
            try:
                await asyncio.to_thread(self._check, version.model)
            except DiptychError as error:
                if not version.is_broken:
                    state = _folder_state(folders.get(version.number, self._path))
                    self._refuse(version.number, state, error)
                version.is_broken = True
            else:
                if version.is_broken:
                    self._refused.pop(version.number, None)
                version.is_broken = False

    def _refuse(self, number: int, state: tuple[int, int], error: DiptychError) -> None:
        reason = " ".join(str(error).split())
        _log.warning("Version %d is refused: %s", number, reason)
        self._refused[number] = (state, reason)

    async def _load_newest(self, folders: list[Path]) -> LoadedVersion[ModelT] | None:
        """Load the newest loadable version, unless it is already served."""
        served = set(self.served)
        # A retired version is unloaded first; its number can be loaded again by the next poll.
        retired = {version.number for version in self._retired}
        for folder in reversed(folders):
            number = int(folder.name)
            if number in served:
                break
            state = _folder_state(folder)
            if number in retired or self._refused.get(number, (None, ""))[0] == state:
                continue
            try:
                model = await asyncio.to_thread(self._load, folder)
            except DiptychError as error:
                self._refuse(number, state, error)
                continue
            self._refused.pop(number, None)
            loaded = LoadedVersion(number, model)
            others = (version for version in self._served if version.number != number)
            self._served = sorted([*others, loaded], key=lambda version: version.number)
            return loaded
        return None

    def _retire(self, versions: list[LoadedVersion[ModelT]]) -> None:
        self._retired += versions
        self._served = [version for version in self._served if version not in versions]

    @contextlib.contextmanager
    def use(self, number: int | None = None) -> Iterator[ModelT]:
        """Yield the newest version, or the one with a number; it stays loaded inside the context.

        Raises:
          LookupError: If the version is not served.
          NoVersionError: If none is.
        """
        working = [version for version in self._served if not version.is_broken]
        if not working:
            raise NoVersionError(next(reversed(self.refused.values()), "no version"))
        matches = [version for version in working if number in (None, version.number)]
        if not matches:
            raise LookupError(number)
        version = matches[-1]
        version.in_flight += 1
        try:
            yield version.model
        finally:
            version.in_flight -= 1

    @property
    def newest_model(self) -> ModelT:
        """Model of the newest served version, or of the newest broken one if none is served.

        Raises:
          LookupError: If no version was ever loaded.
        """
        if not self._served:
            raise LookupError("no version")
        return max(self._served, key=lambda version: (not version.is_broken, version.number)).model

    @property
    def served(self) -> list[int]:
        """Numbers of the served versions, newest last; without broken ones."""
        return [version.number for version in self._served if not version.is_broken]

    @property
    def refused(self) -> dict[int, str]:
        """Refused versions that are newer than all served ones, with the reasons."""
        newest = max(self.served, default=-1)
        return {
            number: reason
            for number, (_, reason) in sorted(self._refused.items())
            if number > newest
        }

    async def _unload_retired(self) -> None:
        unused = [version for version in self._retired if not version.in_flight]
        self._retired = [version for version in self._retired if version.in_flight]
        for version in unused:
            await asyncio.to_thread(self._unload, version.model)

    def _list_folders(self) -> list[Path]:
        if is_saved_model(self._path):
            if not self._path.name.isdecimal():
                raise ModelError(
                    f"The name of the version folder {self._path} is not a number. Rename the "
                    "folder to the version number, such as 1763778845."
                )
            return [self._path]
        return list_versions(self._path)


def _folder_state(folder: Path) -> tuple[int, int]:
    """Return a value that changes if the version is pushed again with the same number."""
    try:
        stat = folder.stat()
    except OSError:  # removed in the meantime
        return (0, 0)
    return (stat.st_ino, stat.st_mtime_ns)
