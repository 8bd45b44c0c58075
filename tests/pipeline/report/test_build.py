import dataclasses
import html.parser
import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_runs import HOSTILE, make_run, truncate_run
from toy_evaluation import given_pairs

from diptych.pipeline.report.build import (
    build_report,
    format_fraction,
    format_interval,
    render_report,
    write_report,
)
from diptych.pipeline.report.report_data import read_report_data
from diptych.schemas.errors import ConfigError
from diptych.schemas.evaluation import Estimate, EvaluationReport
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.manifest import ModelManifest


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), classes=(*HOSTILE, "five"))


@pytest.fixture(scope="module")
def page(run):
    return build_report(run)


def test_hostile_labels_are_text(page):
    parsed = Page(page)
    for label in HOSTILE[:3]:
        assert label in parsed.text
    assert "is <i>too</i> large" in parsed.text
    assert "/data/<b>digits</b>" in parsed.text
    assert len(parsed.all("script")) == 1  # the script of the page
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert {image["src"][:22] for image in parsed.all("img")} == {"data:image/png;base64,"}


def test_page_refers_to_nothing_outside_itself(page):
    parsed = Page(page)
    policy = next(meta["content"] for meta in parsed.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    links = [
        attributes.get("href") or attributes.get("xlink:href") for _, attributes in parsed.tags
    ]
    assert {link[0] for link in links if link} == {"#"}
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", page)
    assert not parsed.all("link")


def test_every_link_has_a_target_and_ids_are_unique(page):
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        attributes.get("href") or attributes.get("xlink:href") for _, attributes in parsed.tags
    ]
    assert {link[1:] for link in links if link} <= set(ids)


def test_images_and_charts_have_text_alternatives(page):
    parsed = Page(page)
    assert all(image["alt"] for image in parsed.all("img"))
    charts = [attributes for _, attributes in parsed.tags if attributes.get("role") == "img"]
    assert len(charts) == 7  # distances, two of ROC, scatter, loss, accuracy, lineage
    assert all(len(chart["aria-label"]) > 30 for chart in charts)
    assert all("scope" in heading for heading in parsed.all("th"))


def test_page_contains_verdict_metrics_and_intervals(page):
    text = Page(page).text
    assert "Blessed The model meets every requirement" in text
    assert "accuracy 93.00% meets the requirement" in text
    assert "ROC AUC 0.9876 0.9776 to 0.9956" in text
    assert "Equal error rate 4.3 % 3.3 to 5.1 %" in text
    assert "TAR at 1 % FAR 80.0 % 79.0 to 80.8 %" in text
    assert "5-way 1-shot 88.0 %" in text
    assert "2026-03-01T04:30:00.000001, started 1 March 2026, 04:30 UTC" in text
    assert "3 of 500 rows or images were rejected." in text
    assert "Observations about examples that are used." in text
    assert "is a single colour" in text
    assert "is no image 2" in text
    assert "Duplicates: 6 examples in 1 group (near-duplicate images), 2 moved" in text
    assert "7 of 100 test examples (7.0%) have a duplicate in the training split." in text
    assert "<i>a</i>.png ( one , train)" in text
    assert "and 4 more" in text
    assert "2 examples were rejected, because the same content has another label." in text
    assert "several labels 2 b.png ( two ) c.png ( one )" in text


def test_the_no_learning_baseline_is_compared_with_the_model(page):
    text = Page(page).text
    assert "inputs (no-learning baseline) 63.0 % 62.0 to 64.0 % 0.6500" in text
    assert "+30.00 percentage points +29.00 to +31.00 4 1 0.375" in text


def test_a_tiny_p_value_is_not_shown_as_zero(run):
    report = EvaluationReport.read(run.output("Evaluator", "evaluation").path)
    comparison = report.raw_distance.comparison.model_copy(update={"mcnemar_p": 0.0})
    distance = report.raw_distance.model_copy(update={"comparison": comparison})
    data = dataclasses.replace(
        read_report_data(run), evaluation=report.model_copy(update={"raw_distance": distance})
    )
    assert "+29.00 to +31.00 4 1 < 0.0001" in Page(render_report(data)).text


def test_suspected_label_errors_have_their_suggestion_and_neighbours(page, tmp_path):
    text = Page(page).text
    assert "30 of 240 calibration and test examples have neighbours that clearly belong to" in text
    assert "; the 5 with the highest score are shown" in text
    assert f"{HOSTILE[0]}/0.png" in text
    assert "3 <b>examples</b> were not judged." in text
    clean = make_run(tmp_path / "clean")
    folder = clean.output("Evaluator", "evaluation").path
    (folder / "label_errors.parquet").unlink()
    assert "None of 240 judged calibration and test examples" in Page(build_report(clean)).text
    paired = Page(build_report(make_run(tmp_path / "paired", paired=True)))
    assert "Suspected label errors" not in paired.text


def test_given_pairs_have_a_table_and_their_leaks(run, tmp_path):
    folder = run.output("Evaluator", "evaluation").path
    report = EvaluationReport.read(folder)
    given = given_pairs(leaked_pairs=3, leaked_examples=2, notes=("1 <pair> is left out.",))
    data = dataclasses.replace(
        read_report_data(run), evaluation=report.model_copy(update={"given_pairs": given})
    )
    text = Page(render_report(data)).text
    assert "75.0 % standard error 2.0 % 90.0 % 89.0 to 91.0 % 0.9500" in text
    assert "3 pairs have an example of the training split (2 examples). 1 <pair> is" in text
    assert "Given pairs" not in Page(build_report(run)).text


def test_class_sizes_are_shown_before_and_after_balancing(page):
    # Class c has 2 * (c + 1) examples, each in two rows, over two rounds.
    text = Page(page).text
    assert "Class examples rows per round $\\frac{" not in text  # the largest is first
    assert "Class examples rows per round a b c 8 8 $\\frac{ 6 6" in text


def test_the_worst_classes_are_ranked_by_the_bound_of_their_accuracy(page, tmp_path):
    assert "The worst classes, ranked by the upper bound of their accuracy" in Page(page).text
    flawless = make_run(tmp_path / "flawless")
    folder = flawless.output("Evaluator", "evaluation").path
    report = EvaluationReport.read(folder)
    classes = tuple(one.model_copy(update={"accuracy": 1.0}) for one in report.classes)
    report.model_copy(update={"classes": classes}).write(folder)
    assert "Every pair of every class is classified correctly." in Page(build_report(flawless)).text


def test_lineage_links_inputs_to_the_step_that_wrote_them(page):
    text = Page(page).text
    assert "Trainer ran 1.5 pairs #5 model #7 training_log #8" in text
    assert page.count('href="#artifact-1"') == 3  # examples, read by three steps


def test_same_run_gives_the_same_page(run, page):
    assert build_report(run) == page


def test_a_failed_verdict_comes_first(tmp_path):
    text = Page(build_report(make_run(tmp_path, blessed=False))).text
    assert "Not blessed The model does not meet a requirement" in text
    assert "✗ failed: accuracy 93.00% does not meet the requirement" in text


def test_given_pairs_have_no_classes(tmp_path):
    text = Page(build_report(make_run(tmp_path, paired=True, pictures=False))).text
    assert "The data are given pairs, which have no classes." in text
    assert "The data are given pairs: 80 in the training split" in text
    assert "examples have no classes for the colours" in text
    assert "Comparison with the model in production" not in text


def test_worst_pairs_of_vectors_have_no_thumbnails(tmp_path):
    parsed = Page(build_report(make_run(tmp_path, pictures=False)))
    assert not parsed.all("img")
    assert "The 9 pairs farthest on the wrong side" in parsed.text


def test_page_reports_that_there_are_no_worst_pairs(tmp_path):
    run = make_run(tmp_path)
    worst = tmp_path / "evaluation" / "worst_pairs.parquet"
    pq.write_table(pq.read_table(worst).slice(0, 0), worst)
    assert "every test pair is on the correct side" in Page(build_report(run)).text


def test_collapsed_embeddings_have_no_scatter_plot(tmp_path):
    run = make_run(tmp_path)
    path = tmp_path / "evaluation" / "embeddings.parquet"
    table = pq.read_table(path)
    same = pa.array([[1.0] * 8] * len(table), table.schema.field("embedding").type)
    at = table.schema.get_field_index("embedding")
    pq.write_table(table.set_column(at, "embedding", same), path)
    assert "The embeddings cannot be drawn" in Page(build_report(run)).text


def test_many_classes_keep_the_page_small(tmp_path):
    names = tuple(f"class {number}" for number in range(300))
    run = make_run(tmp_path, classes=names, each=5)
    page = build_report(run)
    text = Page(page).text
    assert "the 200 least accurate of 300 classes; all are in" in text
    assert "class 299 no 5" in text  # the lowest accuracy
    assert "class 0 yes" not in text
    assert "more classes" in text  # grey in the scatter plot
    assert len(page) < 1_000_000


def test_reconstructions_are_shown_if_the_model_has_a_decoder(tmp_path, page):
    assert "decoder" not in Page(page).text
    run = make_run(tmp_path)
    shutil.copy(_any_png(tmp_path), tmp_path / "evaluation" / "reconstructions.png")
    assert "Reconstructions" in Page(build_report(run)).text


def test_versions_of_a_pushed_model_are_those_at_the_push(tmp_path, page):
    assert "Versions of the installation that wrote this report." in page
    run = make_run(tmp_path)
    pushed = tmp_path / "pushed_model" / "1"
    (pushed / "assets.extra").mkdir(parents=True)
    ModelManifest(
        **{"name": "digits", "version": 1, "created": "2026-03-01T04:31:00Z"},
        inputs=InputSpec(kind="image", size=(28, 28), channels=1),
        **{"embedding_size": 8, "distance": "euclidean", "threshold": 0.9, "data": {}},
        **{"metrics": {}, "configuration": {}, "packages": {"keras": "3.0.0"}, "files": {}},
    ).write(pushed)
    text = Page(build_report(run)).text
    assert "Recorded when the model was pushed. keras 3.0.0 Lineage" in text


def test_report_is_written_without_temporary_files(run, page, tmp_path):
    write_report(run, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("last", "state", "message"),
    [
        ("Trainer", "failed", "the run ended at Trainer, which failed"),
        ("Evaluator", "running", "the run ended at Evaluator, which did not complete"),
        ("PairGen", "ran", "the run ended at PairGen, which completed"),
    ],
)
def test_a_missing_evaluation_is_an_error_with_the_last_step(run, last, state, message):
    with pytest.raises(ConfigError, match=message):
        build_report(truncate_run(run, last, state))


def test_a_missing_or_outdated_evaluation_is_an_error(tmp_path):
    run = make_run(tmp_path)
    metrics = tmp_path / "evaluation" / "evaluation.json"
    metrics.write_text(json.dumps({"accuracy": 1}), encoding="utf-8")
    with pytest.raises(ConfigError, match="missing, damaged or written by another version"):
        build_report(run)
    shutil.rmtree(tmp_path / "evaluation")
    with pytest.raises(ConfigError, match="Run the configuration again"):
        build_report(run)


def test_fractions_near_0_and_1_have_two_decimals():
    formatted = list(map(format_fraction, (None, 0, 0.0042, 0.5, 0.9887, 0.99551, 1)))
    assert formatted == ["–", "0.0 %", "0.42 %", "50.0 %", "98.9 %", "99.55 %", "100.0 %"]
    assert format_interval(Estimate(value=0.988, low=0.976, high=0.99676)) == "97.6 to 99.7 %"
    assert format_interval(Estimate(value=0.992, low=0.976, high=0.99676)) == "97.60 to 99.68 %"


def _any_png(folder):
    thumbnails = pq.read_table(folder / "evaluation" / "embeddings.parquet")["thumbnail"]
    path = folder / "any.png"
    path.write_bytes(thumbnails[0].as_py())
    return path
