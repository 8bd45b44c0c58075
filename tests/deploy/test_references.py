"""References between objects: names that are misspelled fail here."""

from pathlib import Path

import pytest
from manifests import JOBS, OVERLAYS, objects_of, of_kind, pods_of, selects

README = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text()
# Created manually as described in docs/kubernetes.md, or by an operator.
MANUAL_SECRETS = {"diptych-serve"}
SECRETS_OF_RAY = {"diptych-ray"}  # KubeRay names it like the cluster
SERVICES_OF_OPERATORS = {
    "diptych-ray-head-svc": "diptych-ray",
    "diptych-flink-rest": "diptych-flink",
}


def _volumes(pod, kind, key):
    return {volume[kind][key] for volume in pod.spec["volumes"] if kind in volume}


def _surroundings(name):
    """Objects of the overlay in which a job is created."""
    return objects_of({"rollback": "nightly", "ray-night": "gpu"}.get(name, name))


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_claims_config_maps_accounts_and_secrets_exist(name):
    objects = _surroundings(name)
    clusters = of_kind(objects, "RayCluster")
    for pod in pods_of(objects_of(name)):
        volumes = {"volumes": [], **pod.spec}["volumes"]
        pod.spec["volumes"] = volumes
        claims = _volumes(pod, "persistentVolumeClaim", "claimName")
        assert claims <= of_kind(objects, "PersistentVolumeClaim").keys(), pod.owner
        assert _volumes(pod, "configMap", "name") <= of_kind(objects, "ConfigMap").keys(), pod.owner
        assert pod.spec["serviceAccountName"] in of_kind(objects, "ServiceAccount"), pod.owner
        secrets = _volumes(pod, "secret", "secretName")
        assert secrets <= MANUAL_SECRETS | (SECRETS_OF_RAY & clusters.keys()), pod.owner


@pytest.mark.parametrize("name", OVERLAYS)
def test_ray_clusters_make_the_secret_that_is_asked_for(name):
    for cluster in of_kind(objects_of(name), "RayCluster").values():
        assert cluster["metadata"]["name"] in SECRETS_OF_RAY
        assert cluster["spec"]["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("secret", sorted(MANUAL_SECRETS))
def test_the_documentation_shows_how_to_create_each_secret(secret):
    assert f"create secret generic {secret}" in README


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_mounts_have_volumes_and_volumes_are_mounted(name):
    for pod in pods_of(objects_of(name)):
        mounted = {one["name"] for c in pod.containers for one in c.get("volumeMounts", [])}
        defined = {volume["name"] for volume in pod.spec.get("volumes", [])}
        # KubeRay mounts its own; Flink's job manager has volumes of the common template.
        assert mounted == defined, pod.owner


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_probes_use_named_ports_of_their_container(name):
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    for pod in pods_of(objects_of(name)):
        for container in pod.containers:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in (container[key] for key in probes if key in container):
                action = probe.get("httpGet") or probe.get("tcpSocket")
                assert action is None or action["port"] in ports, pod.owner


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_budgets_and_monitors_select_pods(name):
    objects = objects_of(name)
    pods = pods_of(objects)
    for service in of_kind(objects, "Service").values():
        (chosen,) = [
            p for p in pods if selects({"matchLabels": service["spec"]["selector"]}, p.labels)
        ]
        ports = {port["name"]: port["containerPort"] for port in chosen.containers[0]["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for budget in of_kind(objects, "PodDisruptionBudget").values():
        assert any(selects(budget["spec"]["selector"], pod.labels) for pod in pods)
    for monitor in of_kind(objects, "PodMonitor").values():
        assert any(selects(monitor["spec"]["selector"], pod.labels) for pod in pods)


@pytest.mark.parametrize("name", OVERLAYS)
def test_deployments_select_their_own_pods_and_no_others(name):
    objects = objects_of(name)
    for deployment in of_kind(objects, "Deployment").values():
        chosen = [
            pod.owner
            for pod in pods_of(objects)
            if selects(deployment["spec"]["selector"], pod.labels)
        ]
        assert chosen == [f"Deployment/{deployment['metadata']['name']}"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_autoscalers_have_a_target_with_requests(name):
    objects = objects_of(name)
    for scaler in of_kind(objects, "HorizontalPodAutoscaler").values():
        target = of_kind(objects, "Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]  # each apply would reset it
        container = target["spec"]["template"]["spec"]["containers"][0]
        assert "cpu" in container["resources"]["requests"]


def test_addresses_are_those_of_existing_services():
    objects = objects_of("gpu")
    by_operators = {
        service: cluster
        for service, cluster in SERVICES_OF_OPERATORS.items()
        if cluster in of_kind(objects, "RayCluster") | of_kind(objects, "FlinkDeployment")
    }
    (job,) = [pod for pod in pods_of(objects) if pod.owner == "CronJob/diptych-nightly"]
    arguments = " ".join(
        [
            *(arg for container in job.containers for arg in container["args"]),
            *(one.get("value", "") for c in job.containers for one in c.get("env", [])),
        ]
    )
    for service in [*by_operators, "pushgateway"]:
        assert service in arguments
    assert "pushgateway" in of_kind(objects, "Service")
    assert len(by_operators) == 2
