"""Nights that Airflow runs, with the real pipeline."""

import datetime
import fcntl
import time

import pytest
from processes import wait_until

# Embeddings of length 1 in one dimension are 1 or -1: too few for three classes.
NOT_BLESSED = ("--set", "model.embedding_size=1", "--set", "evaluate.requirements.accuracy=1")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def scheduled(home, compiled, root):
    """A night that the scheduler started, and the states of its tasks."""
    due = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=12)
    compiled("scheduled", home.dags, root, "--set", f"nightly.schedule=0 {due.hour} * * *")

    def tasks():
        found = home.get("dags/~/dagRuns/~/taskInstances")["task_instances"]
        states = {task["task_id"]: task["state"] for task in found}
        assert not {"failed", "up_for_retry"} & set(states.values()), states
        return states

    def ended():
        time.sleep(2)  # a request costs more CPU than waiting
        runs = home.get("dags/~/dagRuns")["dag_runs"] if tasks() else []
        return runs if any(run["state"] != "running" for run in runs) else None

    try:
        with home.running():
            return wait_until(ended, 1200), tasks()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{home.logs()}") from error


def test_the_scheduler_starts_a_due_night_and_a_model_is_pushed(scheduled, root):
    ((run,), tasks) = scheduled
    assert (run["run_type"], run["state"]) == ("scheduled", "success")
    assert set(tasks.values()) == {"success"}
    assert len(list((root / "serving").glob("[0-9]*"))) == 1
    assert len(list((root / "nights").glob("*.json"))) == 1  # all tasks worked on it


def test_a_night_with_nothing_new_does_nothing(scheduled, home, compiled, root):
    output = home.run("dags", "test", compiled("scheduled", home.dags, root))
    assert output.count('"outcome":"nothing new"') == len(scheduled[1])
    assert "state=success" in output


def test_the_last_task_is_skipped_if_the_model_is_not_blessed(scheduled, home, compiled, root):
    dag = compiled("scheduled", home.dags, root, *NOT_BLESSED)
    output = home.run("tasks", "test", dag, "Pusher")  # without --until, so the complete night
    assert '"outcome":"not blessed"' in output
    assert "new_state=skipped" in output
    assert len(list((root / "serving").glob("[0-9]*"))) == 1


def test_a_night_fails_while_another_run_is_in_progress(scheduled, home, compiled, root):
    dag = compiled("scheduled", home.dags, root)
    with (root / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = home.run("tasks", "test", dag, "ExampleGen")
    assert "exit code 4" in output
