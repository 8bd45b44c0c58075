import asyncio
import shutil
import types

import numpy as np
import pytest
from pushed_model import push_vectors

from diptych.inference.pushed_model import PushedModel
from diptych.schemas.manifest import ModelManifest, files_of
from diptych.serving.http_errors import Refusal
from diptych.serving.model_watch import ModelWatch
from diptych.serving.shared_gallery import SharedGallery


def described(folder):
    pushed = PushedModel(folder)
    return types.SimpleNamespace(pushed=pushed, manifest=pushed.manifest)


async def version_of(gallery, watch):
    async with gallery.model(watch) as (model, opened):
        return model.manifest.version, len(opened)


def test_a_gallery_stays_with_its_version_as_long_as_that_is_served(tmp_path):
    watch = ModelWatch(tmp_path / "models", described, lambda model: None)
    gallery = SharedGallery(tmp_path / "gallery")

    async def enroll_one():
        async with gallery.model(watch) as (_, opened):
            vector = np.float32([[1, 2]])
            return await gallery.enroll(opened, "raven", vector, [], vector)

    async def push(version):
        """Another model by its digests, which is all that a gallery goes by."""
        folder = tmp_path / "models" / str(version)
        shutil.copytree(tmp_path / "models" / "1", folder)
        (folder / "variables" / "variables.index").write_bytes(b"%d" % version)
        known = {"version": version, "files": files_of(folder)}
        ModelManifest.read(folder).model_copy(update=known).write(folder)
        assert (await watch.look()).number == version

    async def steps():
        push_vectors(tmp_path / "models", version=1)
        await watch.look()
        assert (await enroll_one()).added == 1
        assert (await enroll_one()).known == 1
        await push(2)
        assert await version_of(gallery, watch) == (1, 1)
        await push(3)
        assert watch.served == [2, 3]
        with pytest.raises(Refusal) as told:
            await version_of(gallery, watch)
        assert told.value.status == 409

    asyncio.run(steps())
