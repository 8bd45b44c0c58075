import numpy as np
import pytest
from PIL import Image
from synthetic_runs import HOSTILE, make_run, truncate_run

from diptych.pipeline.report.projector import write_projector
from diptych.schemas.errors import ConfigError


def test_each_example_has_an_embedding_a_label_and_a_thumbnail(tmp_path):
    run = make_run(tmp_path / "run", classes=HOSTILE, each=3)
    write_projector(run, tmp_path / "out")
    assert np.loadtxt(tmp_path / "out" / "tensors.tsv").shape == (12, 8)
    lines = (tmp_path / "out" / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "label\tin training"
    assert lines[1] == "<script>alert(1)</script>\tyes"
    assert lines[12] == "a b c\tno"  # its tab and line break become spaces
    with Image.open(tmp_path / "out" / "sprite.png") as sprite:
        assert sprite.size == (4 * 64, 4 * 64)  # 12 thumbnails in the smallest square
        # 28 x 20 pixels, so with a border above; the last row is empty
        assert sprite.getpixel((32, 32)) == (0, 90, 200)
        assert sprite.getpixel((32, 2)) == (255, 255, 255)
        assert sprite.getpixel((3 * 64 + 32, 2 * 64 + 32)) == (111, 90, 77)
        assert sprite.getpixel((32, 3 * 64 + 32)) == (255, 255, 255)


def test_sprite_does_not_exceed_the_limit_of_the_projector(tmp_path, monkeypatch):
    monkeypatch.setattr("diptych.pipeline.report.projector._MAX_SPRITE_SIDE", 90)
    write_projector(make_run(tmp_path / "run", each=4), tmp_path / "out")
    with Image.open(tmp_path / "out" / "sprite.png") as sprite:
        assert sprite.size == (88, 88)  # 4 x 4 of 22
    assert "single_image_dim: 22" in (tmp_path / "out" / "projector_config.pbtxt").read_text()


def test_many_examples_are_sampled_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr("diptych.pipeline.report.projector._MAX_EXAMPLES", 8)
    write_projector(make_run(tmp_path / "run", each=30), tmp_path / "out")
    lines = (tmp_path / "out" / "metadata.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == ["one"] * 2 + ["two"] * 2 + [
        *("three", "three", "four", "four")
    ]


def test_event_files_of_the_training_are_copied(tmp_path):
    run = make_run(tmp_path / "run")
    (tmp_path / "run" / "training_log" / "tensorboard" / "events.out.1").write_bytes(b"scalars")
    write_projector(run, tmp_path / "out")
    assert (tmp_path / "out" / "events.out.1").read_bytes() == b"scalars"


def test_vectors_have_no_sprite(tmp_path):
    write_projector(make_run(tmp_path / "run", pictures=False), tmp_path / "out")
    assert not (tmp_path / "out" / "sprite.png").exists()
    assert "sprite" not in (tmp_path / "out" / "projector_config.pbtxt").read_text()


def test_a_run_without_an_evaluation_is_an_error(tmp_path):
    run = truncate_run(make_run(tmp_path / "run"), "Trainer")
    with pytest.raises(ConfigError, match="it has no evaluation"):
        write_projector(run, tmp_path / "out")
