import pytest
from pushed_model import push_images
from service_runs import running_service


@pytest.fixture(scope="session")
def versions(tmp_path_factory):
    """Folder of two versions with fixed weights: version 2 halves all distances."""
    folder = tmp_path_factory.mktemp("versions")
    push_images(folder, version=1, scale=1.0, threshold=0.25)
    push_images(folder, version=2, scale=0.5, threshold=0.25)
    return folder


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """Service of one version with an empty gallery, for tests that push nothing."""
    folder = tmp_path_factory.mktemp("service")
    push_images(folder / "models", version=7, threshold=0.25)
    with running_service(folder, folder / "models", "--gallery", folder / "gallery") as service:
        yield service
