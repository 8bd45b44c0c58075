"""Load a folder of DAG files with Airflow, and print a description as JSON.

Run by the Python of Airflow, which has no Diptych.
"""

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from kubernetes.client import ApiClient


def describe_task(task):
    task.render_template_fields({"dag": task.dag})
    description = {
        "downstream": sorted(task.downstream_task_ids),
        "retries": task.retries,
        "skipped_on": list(task.skip_on_exit_code),
    }
    if hasattr(task, "bash_command"):
        return {**description, "command": task.bash_command, "cwd": task.cwd}
    pod = ApiClient().sanitize_for_serialization(task.build_pod_request_obj())
    return {**description, "pod": pod["spec"]}


bag = DagBag(sys.argv[1])
dags = {
    name: {
        "schedule": dag.schedule,
        "timezone": str(dag.timezone),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "tasks": {task.task_id: describe_task(task) for task in dag.topological_sort()},
    }
    for name, dag in bag.dags.items()
}
print(json.dumps({"errors": bag.import_errors, "dags": dags}))
