"""The alerts, evaluated by promtool with metrics of nights."""

import re
import subprocess

import pytest
import yaml
from manifests import objects_of, of_kind

NIGHT = {
    "last_success_timestamp_seconds": "0",
    "last_run_timestamp_seconds": "0",
    "last_exit_code": "0",
    "rejected_ratio": "0.001",
    "accuracy": "0.95",
    "production_accuracy": "0.96",
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """Rules file for Prometheus, from the PrometheusRule object."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    spec = of_kind(objects_of("nightly"), "PrometheusRule")["diptych"]["spec"]
    file.write_text(yaml.safe_dump(spec))
    return file


@pytest.fixture
def alerts(rules, tmp_path):
    """Return a function that asserts the alerts ``minutes`` after a night with given metrics."""

    def check(minutes, expected, **night):
        metrics = {**NIGHT, **night}
        series = [
            {
                "series": f'diptych_nightly_{name}{{pipeline="birds"}}',
                "values": f"{value}+0x{minutes // 5}",
            }
            for name, value in metrics.items()
        ]
        names = re.findall("alert: (.*)", rules.read_text())
        tests = [
            {"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": [expected[name]]}
            if name in expected
            else {"eval_time": f"{minutes}m", "alertname": name}
            for name in names
        ]
        group = {"interval": "5m", "input_series": series, "alert_rule_test": tests}
        file = tmp_path / "tests.yaml"
        file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [group]}))
        command = ["promtool", "test", "rules", file]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr

    return check


def _alert(severity, summary, description, pipeline="birds"):
    labels = {"severity": severity} | ({"pipeline": pipeline} if pipeline else {})
    return {
        "exp_labels": labels,
        "exp_annotations": {"summary": summary, "description": description},
    }


NO_SUCCESS = _alert(
    "critical",
    "birds has had no successful run for 1d 2h 10m 0s",
    "diptych runs --root ROOT lists the latest runs; ROOT/nights.jsonl has their errors.",
)


def test_prometheus_accepts_the_file(rules):
    subprocess.run(["promtool", "check", "rules", rules], check=True, capture_output=True)


def test_a_good_night_fires_no_alert(alerts):
    alerts(25 * 60, {})


def test_a_night_without_a_better_model_fires_no_alert(alerts):
    alerts(60, {}, last_exit_code="3")


def test_no_success_for_26_hours(alerts):
    alerts(26 * 60 + 10, {"DiptychNoSuccess": NO_SUCCESS})


def test_no_alert_before_26_hours(alerts):
    alerts(26 * 60, {})


def test_a_failed_run(alerts):
    failed = _alert(
        "warning",
        "The last run of birds failed with exit code 1",
        "ROOT/nights.jsonl has the error; the model in production is unchanged.",
    )
    alerts(60, {"DiptychRunFailed": failed}, last_exit_code="1")


def test_many_rejected_rows(alerts):
    rejected = _alert(
        "warning",
        "birds rejected 0.8% of its data",
        "The report of the run lists the reasons.",
    )
    alerts(60, {"DiptychRowsRejected": rejected}, rejected_ratio="0.008")


def test_an_accuracy_far_below_that_in_production(alerts):
    dropped = _alert(
        "warning",
        "The night's model of birds is 5% less accurate than the one in production",
        "Has the data changed? See the anomalies and drift in the report of the run.",
    )
    night = {"accuracy": "0.9375", "production_accuracy": "0.9875", "last_exit_code": "3"}
    alerts(60, {"DiptychAccuracyDropped": dropped}, **night)


def test_no_metrics_at_all(rules, tmp_path):
    never = _alert(
        "critical",
        "No pipeline has reported a run for a day",
        "Is the schedule suspended, or the network path to the Pushgateway blocked?",
        pipeline=None,
    )
    tests = [
        {"eval_time": "25h", "alertname": "DiptychNeverRan"},
        {"eval_time": "27h", "alertname": "DiptychNeverRan", "exp_alerts": [never]},
    ]
    group = {"interval": "10m", "input_series": [], "alert_rule_test": tests}
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [group]}))
    subprocess.run(["promtool", "test", "rules", file], check=True, capture_output=True)
