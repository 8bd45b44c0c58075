import asyncio

import pytest

from diptych.schemas.errors import ModelError
from diptych.serving.version_watcher import NoVersionError, VersionWatcher


class VersionFolder:
    """A folder of versions with a watcher; the model of a version is the name of its folder."""

    def __init__(self, folder):
        self.folder = folder
        self.broken, self.stopped, self.load_attempts, self.unloaded = set(), set(), [], []
        self.watcher = VersionWatcher(folder, self.load, self.unloaded.append, self.check)

    def push(self, *numbers):
        for number in numbers:
            path = self.folder / str(number)
            path.mkdir()
            (path / "saved_model.pb").touch()

    def roll_back(self, number):
        rolled_back = self.folder / ".rolled-back"
        rolled_back.mkdir(exist_ok=True)
        (self.folder / str(number)).rename(rolled_back / str(number))

    def poll(self):
        loaded = asyncio.run(self.watcher.poll())
        return loaded and loaded.number

    def load(self, folder):
        self.load_attempts.append(folder.name)
        if folder.name in self.broken:
            raise ModelError(f"{folder.name} is broken")
        return folder.name

    def check(self, model):
        if model in self.stopped:
            raise ModelError(f"{model} has changed")


@pytest.fixture
def versions(tmp_path):
    return VersionFolder(tmp_path)


def test_the_newest_version_is_loaded_and_the_previous_one_stays(versions):
    versions.push(1, 9, 10)
    assert versions.poll() == 10
    assert versions.load_attempts == ["10"]
    versions.push(11)
    assert versions.poll() == 11
    assert versions.watcher.served == [10, 11]
    assert versions.poll() is None
    with versions.watcher.use() as newest, versions.watcher.use(10) as previous:
        assert (newest, previous) == ("11", "10")
    with pytest.raises(LookupError), versions.watcher.use(9):
        pass


def test_a_broken_version_is_refused_once_and_the_previous_one_stays(versions):
    versions.push(1)
    versions.poll()
    versions.broken = {"2"}
    versions.push(2)
    assert [versions.poll(), versions.poll()] == [None, None]
    assert versions.load_attempts == ["1", "2"]
    assert versions.watcher.newest_model == "1"
    assert versions.watcher.refused == {2: "2 is broken"}


def test_a_refused_version_is_loaded_again_after_a_new_push(versions):
    versions.push(1)
    versions.broken = {"1"}
    assert versions.poll() is None
    versions.broken = set()
    (versions.folder / "1").rename(versions.folder / "old")
    versions.push(1)
    assert versions.poll() == 1
    assert versions.watcher.refused == {}


def test_if_the_newest_version_is_broken_the_next_one_is_served(versions):
    versions.push(1, 2)
    versions.broken = {"2"}
    assert versions.poll() == 1
    assert versions.watcher.refused == {2: "2 is broken"}


def test_a_version_stays_loaded_until_its_requests_have_ended(versions):
    versions.push(1)
    versions.poll()
    with versions.watcher.use() as model_of_request:
        for number in (2, 3):
            versions.push(number)
            versions.poll()
        versions.poll()
        assert model_of_request == "1"
        assert versions.unloaded == []
        assert versions.watcher.served == [2, 3]
    versions.poll()
    assert versions.unloaded == ["1"]


def test_after_a_rollback_the_previous_version_is_served_without_loading_it_again(versions):
    versions.push(1, 2)
    versions.poll()
    versions.push(3)
    versions.poll()
    with versions.watcher.use() as model_of_request:
        versions.roll_back(3)
        assert versions.poll() is None
        assert (versions.watcher.served, versions.watcher.newest_model) == ([2], "2")
        versions.poll()
        assert (model_of_request, versions.unloaded) == ("3", [])  # its request has not ended
    versions.poll()
    assert (versions.load_attempts, versions.unloaded) == (["2", "3"], ["3"])
    versions.push(4)
    assert versions.poll() == 4
    assert versions.watcher.served == [2, 4]


def test_after_a_rollback_an_older_version_is_loaded_while_the_newest_still_answers(versions):
    versions.push(1, 2, 3)
    versions.poll()
    versions.roll_back(3)
    versions.broken = {"2"}
    assert versions.poll() == 1
    assert versions.watcher.served == [1]
    assert versions.watcher.refused == {2: "2 is broken"}
    versions.poll()
    assert versions.unloaded == ["3"]


def test_a_removed_version_is_served_while_no_other_can_be(versions):
    versions.push(1, 2)
    versions.poll()
    versions.roll_back(2)
    versions.broken = {"1"}
    assert versions.poll() is None
    versions.roll_back(1)
    assert versions.poll() is None
    assert versions.watcher.served == [2]


def test_a_restored_version_is_loaded_again_after_it_was_unloaded(versions):
    versions.push(1)
    versions.poll()
    versions.push(2)
    versions.poll()
    versions.roll_back(2)
    with versions.watcher.use(2):
        versions.poll()
        (versions.folder / ".rolled-back" / "2").rename(versions.folder / "2")
        assert versions.poll() is None
    assert versions.poll() == 2
    assert versions.unloaded == ["2"]
    assert versions.watcher.served == [1, 2]


def test_a_single_version_can_be_watched(versions):
    versions.push(1, 2)
    watcher = VersionWatcher(
        versions.folder / "1", versions.load, versions.unloaded.append, versions.check
    )
    assert asyncio.run(watcher.poll()).number == 1
    assert watcher.served == [1]


def test_a_version_that_stops_working_is_refused_and_the_previous_one_is_used(versions):
    versions.push(1)
    versions.poll()
    versions.push(2)
    versions.poll()
    versions.stopped = {"2"}
    assert versions.poll() is None
    assert (versions.watcher.served, versions.watcher.newest_model) == ([1], "1")
    assert versions.watcher.refused == {2: "2 has changed"}
    assert versions.poll() is None
    assert (versions.load_attempts, versions.unloaded) == (["1", "2"], ["2"])


def test_an_older_version_is_loaded_if_the_only_loaded_one_stops_working(versions):
    versions.push(1, 2)
    versions.poll()
    versions.stopped = {"2"}
    assert versions.poll() == 1
    assert (versions.watcher.served, versions.watcher.refused) == ([1], {2: "2 has changed"})


def test_if_no_version_works_the_reason_is_given_until_it_works_again(versions):
    versions.push(1)
    versions.poll()
    versions.stopped = {"1"}
    for _ in range(2):
        versions.poll()
        assert versions.watcher.served == []
        assert versions.watcher.refused == {1: "1 has changed"}
        assert versions.watcher.newest_model == "1"
        with pytest.raises(NoVersionError, match="1 has changed"), versions.watcher.use():
            pass
    versions.stopped = set()
    versions.poll()
    assert (versions.watcher.served, versions.watcher.refused) == ([1], {})
    assert (versions.load_attempts, versions.unloaded) == (["1"], [])


def test_a_version_that_stopped_working_is_loaded_again_after_a_new_push(versions):
    versions.push(1)
    versions.poll()
    versions.stopped = {"1"}
    versions.poll()
    (versions.folder / "1").rename(versions.folder / "old")
    versions.push(1)
    assert versions.poll() == 1
    assert versions.load_attempts == ["1", "1"]
    assert versions.unloaded == []  # the replicas of the new push have replaced them
