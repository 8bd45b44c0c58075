import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.example_gen.spans import Span, find_spans, has_spans
from diptych.schemas.errors import ConfigError, DataError

DATED = "span-{YYYY}-{MM}-{DD}"


@pytest.fixture
def make(tmp_path):
    """Create folders, or files for names with an extension, and return the path of the pattern."""

    def make(pattern, *names):
        for name in names:
            path = tmp_path / name
            if path.suffix and not name.endswith(".part"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.mkdir(parents=True)
        return str(tmp_path / pattern)

    return make


def names(spans):
    return [span.name for span in spans]


def test_spans_are_sorted_by_date(make, tmp_path):
    path = make(DATED, "span-2026-11-02", "span-2025-12-31", "span-2026-10-30")
    assert names(find_spans(path)) == ["2025-12-31", "2026-10-30", "2026-11-02"]
    assert find_spans(path)[0] == Span(
        number=20453, version=None, name="2025-12-31", path=str(tmp_path / "span-2025-12-31")
    )


def test_spans_are_sorted_by_number(make):
    path = make("span-{SPAN}/*.csv", "span-9", "span-10", "span-2")
    assert [span.number for span in find_spans(path)] == [2, 9, 10]


@settings(deadline=None)
@given(days=st.integers(0, 40_000))
def test_date_spans_have_the_span_number_of_tfx(days, tmp_path_factory):
    from tfx.components.example_gen.utils import span_number_to_date

    folder = tmp_path_factory.mktemp("spans")
    date = datetime.date(*span_number_to_date(days))
    (folder / date.strftime("%Y%m%d")).mkdir()
    assert find_spans(str(folder / "{YYYY}{MM}{DD}"))[0].number == days


def test_the_newest_version_is_used(make, tmp_path):
    path = make("span-{SPAN}/v{VERSION}/*.csv", "span-1/v2", "span-1/v10", "span-1/v9", "span-2/v1")
    assert find_spans(path) == (
        Span(1, 10, "1", str(tmp_path / "span-1/v10/*.csv")),
        Span(2, 1, "2", str(tmp_path / "span-2/v1/*.csv")),
    )


def test_a_span_without_a_version_is_found(make):
    path = make("span-{SPAN}/v{VERSION}/*.csv", "span-1/v0", "span-2")
    assert [(span.name, span.version) for span in find_spans(path)] == [("1", 0), ("2", None)]


def test_a_window_counts_existing_spans_across_gaps(make):
    path = make(DATED, "span-2026-01-01", "span-2026-02-01", "span-2026-03-01")
    assert names(find_spans(path, window=2)) == ["2026-02-01", "2026-03-01"]
    assert names(find_spans(path, window=9)) == ["2026-01-01", "2026-02-01", "2026-03-01"]


def test_partially_matching_names_are_ignored(make):
    path = make(
        *("span-{SPAN}", "span-3", "span-4.part", ".span-5", "_span-6", "span-7-old"),
        *("span-x", "span-", "my-span-8", "span--9", "span-1٣"),
    )
    assert names(find_spans(path)) == ["3"]


def test_a_width_fixes_the_number_of_digits(make):
    path = make("span-{SPAN:3}/v{VERSION:2}", "span-007/v01", "span-007/v2", "span-7/v09")
    assert [(span.number, span.version) for span in find_spans(path)] == [(7, 1)]


def test_a_date_may_span_several_folders(make):
    path = make("{YYYY}/{MM}/{DD}/*.csv", "2026/11/21", "2026/12", "2026/notes.txt", "2026/10/01")
    assert names(find_spans(path)) == ["2026-10-01", "2026-11-21"]


def test_a_span_may_be_files(make, tmp_path):
    path = make("day-{YYYY}{MM}{DD}-*.csv", "day-20261121-0.csv", "day-20261121-1.csv")
    (span,) = find_spans(path)
    assert (span.name, span.path) == ("2026-11-21", str(tmp_path / "day-20261121-*.csv"))


def test_a_file_does_not_match_a_span_folder(make):
    assert names(find_spans(make("s{SPAN}.d/*.csv", "s1.d/a.csv", "s2.d"))) == ["1"]


def test_other_braces_are_literal(make):
    assert not has_spans("data/{span}/{x}")
    assert names(find_spans(make("{x}/span-{SPAN}", "{x}/span-1"))) == ["1"]


def test_an_invalid_date_raises_an_error(make):
    path = make(DATED, "span-2026-02-30")
    with pytest.raises(DataError, match=r"span-2026-02-30 has an invalid date"):
        find_spans(path)


def test_two_paths_of_one_span_raise_an_error(make):
    path = make("span-{SPAN}", "span-3", "span-03")
    with pytest.raises(DataError, match=r"same span, 3: \S+/span-03 and \S+/span-3\."):
        find_spans(path)


@pytest.mark.parametrize("pattern", ["data/span-{SPAN}", "span-{SPAN}"])
def test_no_span_raises_an_error(make, pattern):
    with pytest.raises(ConfigError, match=r"No spans found"):
        find_spans(make(pattern))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{SPAN}/{YYYY}-{MM}-{DD}", "cannot be combined"),
        ("{MM}-{DD}", "all of {YYYY}, {MM} and {DD}"),
        ("{YYYY}", "all of {YYYY}, {MM} and {DD}"),
        ("{SPAN}/{SPAN:3}", "only once"),
        ("{YYYY}-{MM}-{DD}/{DD}", "only once"),
        ("{SPAN}/{VERSION}/{VERSION}", "only once"),
        ("v{VERSION}", "add {SPAN}"),
        ("{SPAN:x}", "integer above 0"),
        ("{SPAN:0}", "integer above 0"),
        ("{SPAN}/{VERSION:}", "integer above 0"),
        ("{YYYY:4}-{MM}-{DD}", "fixed width"),
        ("**/{SPAN}", "only after"),
    ],
)
def test_invalid_patterns_raise_an_error(tmp_path, pattern, message):
    with pytest.raises(ConfigError, match=message):
        find_spans(str(tmp_path / pattern))
