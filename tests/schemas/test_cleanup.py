import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.schemas.cleanup import cleanup, cleanup_on_error


class Failing:
    """An action that records its call and raises an error, if it has one."""

    def __init__(self, calls, number, error):
        self.calls, self.number, self.error = calls, number, error

    def __call__(self):
        self.calls.append(self.number)
        if self.error is not None:
            raise self.error


errors = st.none() | st.builds(OSError, st.text("ab ", max_size=3))


@settings(deadline=None)
@given(
    body=errors | st.builds(KeyboardInterrupt),
    outcomes=st.lists(errors, max_size=4),
    only_on_error=st.booleans(),
)
def test_all_actions_run_and_the_first_error_wins(body, outcomes, only_on_error):
    calls = []
    actions = [Failing(calls, number, error) for number, error in enumerate(outcomes)]
    raised = None
    try:
        with cleanup_on_error(*actions) if only_on_error else cleanup(*actions):
            if body is not None:
                raise body
    except BaseException as error:
        raised = error
    runs = body is not None or not only_on_error
    assert calls == (list(range(len(outcomes))) if runs else [])
    occurred = [body, *(outcomes if runs else [])]
    occurred = [error for error in occurred if error is not None]
    assert raised is (occurred[0] if occurred else None)
    if occurred:
        notes = getattr(raised, "__notes__", [])
        assert len(notes) == len(occurred) - 1
        assert all(note.startswith("The cleanup failed as well: OSError") for note in notes)


def test_a_cause_is_kept():
    def fail():
        raise OSError("disk is full")

    with pytest.raises(ValueError, match="no luck") as raised, cleanup(fail):
        try:
            raise KeyError("a")
        except KeyError as error:
            raise ValueError("no luck") from error
    assert isinstance(raised.value.__cause__, KeyError)
    assert raised.value.__notes__ == ["The cleanup failed as well: OSError: disk is full"]


def test_an_interrupt_during_the_cleanup_ends_it():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), contextlib.suppress(ValueError), cleanup(interrupt):
        raise ValueError("no luck")
