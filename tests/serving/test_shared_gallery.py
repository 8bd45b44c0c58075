import asyncio
import shutil

import numpy as np
import pytest
from pushed_model import push_vectors

from diptych.inference.pushed_model import PushedModel
from diptych.schemas.manifest import ModelManifest, compute_digests
from diptych.serving.http_errors import ApiError
from diptych.serving.shared_gallery import SharedGallery
from diptych.serving.version_watcher import VersionWatcher


async def version_and_size(gallery, watcher):
    async with gallery.open(watcher) as (model, opened):
        return model.manifest.version, len(opened)


def test_a_gallery_is_used_with_its_version_as_long_as_that_is_served(tmp_path):
    watcher = VersionWatcher(tmp_path / "models", PushedModel, lambda model: None)
    gallery = SharedGallery(tmp_path / "gallery")

    async def enroll_one():
        async with gallery.open(watcher) as (_, opened):
            vector = np.float32([[1, 2]])
            return await gallery.enroll(opened, "raven", vector, [], vector)

    async def push(version):
        """Push a model with other digests, which make it another model for a gallery."""
        folder = tmp_path / "models" / str(version)
        shutil.copytree(tmp_path / "models" / "1", folder)
        (folder / "variables" / "variables.index").write_bytes(b"%d" % version)
        update = {"version": version, "files": compute_digests(folder)}
        ModelManifest.read(folder).model_copy(update=update).write(folder)
        assert (await watcher.poll()).number == version

    async def run():
        push_vectors(tmp_path / "models", version=1)
        await watcher.poll()
        assert (await enroll_one()).added == 1
        assert (await enroll_one()).known == 1
        await push(2)
        assert await version_and_size(gallery, watcher) == (1, 1)
        await push(3)
        assert watcher.served == [2, 3]
        with pytest.raises(ApiError) as raised:
            await version_and_size(gallery, watcher)
        assert raised.value.status_code == 409

    asyncio.run(run())
