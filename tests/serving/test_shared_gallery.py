import asyncio
import shutil

import numpy as np
import pytest
from pushed_model import push_vectors

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel
from diptych.schemas.manifest import ModelManifest, compute_digests
from diptych.serving.http_errors import ApiError
from diptych.serving.shared_gallery import ReembeddedError, SharedGallery
from diptych.serving.version_watcher import VersionWatcher


def test_an_enrolment_during_a_re_embedding_starts_again_with_the_new_version(tmp_path):
    watcher = VersionWatcher(
        tmp_path / "models", PushedModel, lambda model: None, lambda model: None
    )
    gallery = SharedGallery(tmp_path / "gallery")
    vector = np.float32([[1, 2]])

    async def run():
        for version in (1, 2):
            push_vectors(tmp_path / "models", version=version, scale=float(version))
            await watcher.poll()
            if version == 1:
                async with gallery.open(watcher):
                    pass
        async with gallery.open(watcher) as (model, opened):
            assert model.manifest.version == 1
            Gallery.re_embed(tmp_path / "gallery", PushedModel(tmp_path / "models" / "2"))
            with pytest.raises(ReembeddedError):
                await gallery.enroll(opened, "raven", vector, [], vector)
        assert await version_and_size(gallery, watcher) == (2, 0)

    asyncio.run(run())


def test_a_gallery_that_cannot_be_written_is_503(tmp_path):
    push_vectors(tmp_path / "models", version=1)
    watcher = VersionWatcher(
        tmp_path / "models", PushedModel, lambda model: None, lambda model: None
    )
    gallery = SharedGallery(tmp_path / "gallery")

    async def run():
        await watcher.poll()
        async with gallery.open(watcher) as (_, opened):
            (tmp_path / "gallery" / ".lock").unlink()
            (tmp_path / "gallery" / ".lock").mkdir()
            vector = np.float32([[1, 2]])
            with pytest.raises(ApiError, match="cannot be changed") as raised:
                await gallery.enroll(opened, "raven", vector, [], vector)
            assert raised.value.status_code == 503

    asyncio.run(run())


async def version_and_size(gallery, watcher):
    async with gallery.open(watcher) as (model, opened):
        return model.manifest.version, len(opened)


def test_a_gallery_is_used_with_its_version_as_long_as_that_is_served(tmp_path):
    watcher = VersionWatcher(
        tmp_path / "models", PushedModel, lambda model: None, lambda model: None
    )
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
