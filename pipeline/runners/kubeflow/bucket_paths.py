"""Artifacts have addresses in a bucket; the steps read and write files on a disk.

Kubeflow joins the two by a convention: for the container, what is at ``gs://bucket/name`` is at
``/gcs/bucket/name``. The launcher of the open-source backend copies it there and back, Vertex
mounts it.
"""

_FOLDERS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}


def local_path(address: str, mounts: str = "") -> str:
    """Where a container finds what is at an address; other texts as they are.

    Args:
      address: such as ``s3://bucket/name``.
      mounts: folder that the convention is followed below; as a rule, the root of the disk.
    """
    for scheme, folder in _FOLDERS.items():
        if address.startswith(scheme):
            return f"{mounts}{folder}{address.removeprefix(scheme)}"
    return address


def bucket_address(path: str, mounts: str = "") -> str:
    """The address of what a container has at a path; other texts as they are.

    The other way round of ``local_path``.
    """
    for scheme, folder in _FOLDERS.items():
        prefix = f"{mounts}{folder}"
        if path.startswith(prefix):
            return f"{scheme}{path.removeprefix(prefix)}"
    return path
