import asyncio

import pytest

from diptych.schemas.errors import ModelError
from diptych.serving.model_watch import ModelWatch


class Shelf:
    """A folder of versions, and what was loaded of it; a model is the name of its folder."""

    def __init__(self, folder):
        self.folder = folder
        self.broken, self.tried, self.unloaded = set(), [], []
        self.watch = ModelWatch(folder, self._load, self.unloaded.append)

    def push(self, *numbers):
        for number in numbers:
            path = self.folder / str(number)
            path.mkdir()
            (path / "saved_model.pb").touch()

    def roll_back(self, number):
        aside = self.folder / ".rolled-back"
        aside.mkdir(exist_ok=True)
        (self.folder / str(number)).rename(aside / str(number))

    def look(self):
        taken = asyncio.run(self.watch.look())
        return taken and taken.number

    def _load(self, folder):
        self.tried.append(folder.name)
        if folder.name in self.broken:
            raise ModelError(f"{folder.name} is broken")
        return folder.name


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def test_the_newest_is_taken_up_and_the_one_before_stays(shelf):
    shelf.push(1, 9, 10)
    assert shelf.look() == 10
    assert shelf.tried == ["10"]
    shelf.push(11)
    assert shelf.look() == 11
    assert shelf.watch.served == [10, 11]
    assert shelf.look() is None
    with shelf.watch.use() as newest, shelf.watch.use(10) as before:
        assert (newest, before) == ("11", "10")
    with pytest.raises(LookupError), shelf.watch.use(9):
        pass


def test_a_broken_one_is_refused_once_and_the_old_one_stays(shelf):
    shelf.push(1)
    shelf.look()
    shelf.broken = {"2"}
    shelf.push(2)
    assert [shelf.look(), shelf.look()] == [None, None]
    assert shelf.tried == ["1", "2"]
    assert shelf.watch.newest == "1"
    assert shelf.watch.refused == {2: "2 is broken"}


def test_a_refused_one_is_tried_again_when_it_is_pushed_again(shelf):
    shelf.push(1)
    shelf.broken = {"1"}
    assert shelf.look() is None
    shelf.broken = set()
    (shelf.folder / "1").rename(shelf.folder / "old")
    shelf.push(1)
    assert shelf.look() == 1
    assert shelf.watch.refused == {}


def test_where_the_newest_is_broken_the_next_is_served(shelf):
    shelf.push(1, 2)
    shelf.broken = {"2"}
    assert shelf.look() == 1
    assert shelf.watch.refused == {2: "2 is broken"}


def test_a_version_stays_until_its_requests_have_ended(shelf):
    shelf.push(1)
    shelf.look()
    with shelf.watch.use() as begun_with:
        for number in (2, 3):
            shelf.push(number)
            shelf.look()
        shelf.look()
        assert begun_with == "1"
        assert shelf.unloaded == []
        assert shelf.watch.served == [2, 3]
    shelf.look()
    assert shelf.unloaded == ["1"]


def test_after_a_rollback_the_one_before_is_served_without_being_loaded_again(shelf):
    shelf.push(1, 2)
    shelf.look()
    shelf.push(3)
    shelf.look()
    with shelf.watch.use() as begun_with:
        shelf.roll_back(3)
        assert shelf.look() is None
        assert (shelf.watch.served, shelf.watch.newest) == ([2], "2")
        shelf.look()
        assert (begun_with, shelf.unloaded) == ("3", [])  # its request has not ended
    shelf.look()
    assert (shelf.tried, shelf.unloaded) == (["2", "3"], ["3"])
    shelf.push(4)
    assert shelf.look() == 4
    assert shelf.watch.served == [2, 4]


def test_after_a_rollback_the_one_before_is_loaded_while_the_newest_still_answers(shelf):
    shelf.push(1, 2, 3)
    shelf.look()
    shelf.roll_back(3)
    shelf.broken = {"2"}
    assert shelf.look() == 1
    assert shelf.watch.served == [1]
    assert shelf.watch.refused == {2: "2 is broken"}
    shelf.look()
    assert shelf.unloaded == ["3"]


def test_what_is_served_stays_where_nothing_else_can_be(shelf):
    shelf.push(1, 2)
    shelf.look()
    shelf.roll_back(2)
    shelf.broken = {"1"}
    assert shelf.look() is None
    shelf.roll_back(1)
    assert shelf.look() is None
    assert shelf.watch.served == [2]


def test_a_version_that_comes_back_is_taken_up_when_it_has_ended(shelf):
    shelf.push(1)
    shelf.look()
    shelf.push(2)
    shelf.look()
    shelf.roll_back(2)
    with shelf.watch.use(2):
        shelf.look()
        (shelf.folder / ".rolled-back" / "2").rename(shelf.folder / "2")
        assert shelf.look() is None
    assert shelf.look() == 2
    assert shelf.unloaded == ["2"]
    assert shelf.watch.served == [1, 2]


def test_one_version_can_be_named(shelf):
    shelf.push(1, 2)
    watch = ModelWatch(shelf.folder / "1", shelf._load, shelf.unloaded.append)
    assert asyncio.run(watch.look()).number == 1
    assert watch.served == [1]
