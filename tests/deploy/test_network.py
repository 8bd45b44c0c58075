"""Allowed connections by the network policies; both pods must allow a connection."""

import pytest
from manifests import Pod, objects_of, of_kind, pods_of, selects

OTHER_POD = Pod("other namespace", {}, {}, "default")
KUBERAY = Pod("KubeRay", {}, {}, "kuberay-system")
FLINK_OPERATOR = Pod("Flink's operator", {}, {}, "flink-operator")
PROMETHEUS = Pod("Prometheus", {}, {}, "monitoring")
CLIENT = Pod("a client", {}, {}, "shop")
NAMESPACES = {"shop": {"diptych-clients": "true"}}


def _is_peer(peer, pod):
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": pod.namespace, **NAMESPACES.get(pod.namespace, {})}
        if not selects(peer["namespaceSelector"], labels):
            return False
    elif pod.namespace != "diptych":
        return False
    return selects(peer.get("podSelector", {}), pod.labels)


def _allows(policies, pod, other, port, direction):
    """Return whether the policies of ``pod`` allow traffic; other namespaces have no policies."""
    side, peers = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}[direction]
    mine = [
        policy["spec"]
        for policy in policies
        if pod.namespace == "diptych"
        and selects(policy["spec"]["podSelector"], pod.labels)
        and direction in policy["spec"]["policyTypes"]
    ]
    if not mine:
        return True
    return any(
        any(_is_peer(peer, other) for peer in rule[peers])
        and (
            "ports" not in rule
            or any(one["port"] <= port <= one.get("endPort", one["port"]) for one in rule["ports"])
        )
        for policy in mine
        for rule in policy.get(side, [])
    )


@pytest.fixture(scope="module")
def can_connect():
    objects = objects_of("gpu") + objects_of("local")
    policies = {
        one["metadata"]["name"]: one for one in of_kind(objects, "NetworkPolicy").values()
    }.values()
    pods = {}
    for pod in pods_of(objects) + pods_of(objects_of("ray-night")):
        role = pod.labels.get("ray.io/node-type") or pod.labels.get("component")
        pods[f"{pod.labels['app.kubernetes.io/component']} {role or ''}".strip()] = pod
    assert sorted(pods) == [
        *("flink jobmanager", "flink taskmanager", "nightly", "pushgateway"),
        *("ray head", "ray worker", "ray-submitter", "serve", "tf-serving"),
    ]

    def check(source, target, port):
        source, target = pods.get(source, source), pods.get(target, target)
        return _allows(policies, source, target, port, "Egress") and _allows(
            policies, target, source, port, "Ingress"
        )

    check.pods = pods
    return check


def test_required_connections_are_allowed(can_connect):
    for source, target, port in [
        ("nightly", "ray head", 10001),
        ("ray worker", "ray head", 6379),
        ("ray head", "ray worker", 33333),
        ("ray worker", "ray worker", 44444),
        ("ray-submitter", "ray head", 8265),
        (KUBERAY, "ray head", 8265),
        ("nightly", "flink jobmanager", 8081),
        (FLINK_OPERATOR, "flink jobmanager", 8081),
        ("flink taskmanager", "flink jobmanager", 6123),
        ("flink taskmanager", "flink jobmanager", 6124),
        ("flink taskmanager", "flink taskmanager", 6121),
        ("flink jobmanager", "flink taskmanager", 6122),
        ("nightly", "pushgateway", 9091),
        (PROMETHEUS, "pushgateway", 9091),
        (PROMETHEUS, "ray worker", 8080),
        (CLIENT, "tf-serving", 8500),
        (CLIENT, "tf-serving", 8501),
        (CLIENT, "serve", 8501),
    ]:
        assert can_connect(source, target, port), (source, target, port)


def test_no_pod_can_connect_to_the_pool_of_python_workers(can_connect):
    for source in [*can_connect.pods, OTHER_POD, KUBERAY, FLINK_OPERATOR, PROMETHEUS, CLIENT]:
        assert not can_connect(source, "flink taskmanager", 50000), source


@pytest.mark.parametrize("port", [6379, 8265, 10001, 52365])
def test_ray_is_closed_to_other_namespaces_and_to_servers(can_connect, port):
    for source in [
        OTHER_POD,
        CLIENT,
        PROMETHEUS,
        "tf-serving",
        "serve",
        "pushgateway",
        "flink taskmanager",
    ]:
        assert not can_connect(source, "ray head", port), source
    assert not can_connect("nightly", "ray head", 6379)
    assert not can_connect("nightly", "ray head", 8265)
    assert not can_connect("nightly", "ray worker", port)


def test_servers_cannot_connect_to_anything(can_connect):
    for source in ("tf-serving", "serve", "pushgateway"):
        for target in [*can_connect.pods, OTHER_POD]:
            for port in (80, 443, 6379, 8081, 8500, 9091, 10001):
                assert not can_connect(source, target, port), (source, target, port)


def test_models_are_served_only_to_labelled_namespaces(can_connect):
    for source in (OTHER_POD, PROMETHEUS, "nightly", "ray worker"):
        assert not can_connect(source, "tf-serving", 8501), source
        assert not can_connect(source, "serve", 8501), source
