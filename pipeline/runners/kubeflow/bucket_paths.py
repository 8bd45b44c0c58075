"""Conversion between the bucket URI of an artifact and its path in a container.

Kubeflow has a convention: a container finds ``gs://bucket/name`` at ``/gcs/bucket/name``. The
launcher of the open-source backend copies the files there and back; Vertex AI mounts the bucket.
"""

_MOUNT_FOLDERS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}


def local_path(uri: str, mounts: str = "") -> str:
    """Convert a bucket URI to the path in a container; return any other text unchanged.

    Args:
      uri: URI such as ``s3://bucket/name``.
      mounts: Folder that contains ``gcs``, ``s3`` and ``minio``; empty: the root of the disk.
    """
    for scheme, folder in _MOUNT_FOLDERS.items():
        if uri.startswith(scheme):
            return f"{mounts}{folder}{uri.removeprefix(scheme)}"
    return uri


def bucket_uri(path: str, mounts: str = "") -> str:
    """Convert a path in a container to the bucket URI; the inverse of ``local_path``."""
    for scheme, folder in _MOUNT_FOLDERS.items():
        prefix = f"{mounts}{folder}"
        if path.startswith(prefix):
            return f"{scheme}{path.removeprefix(prefix)}"
    return path
