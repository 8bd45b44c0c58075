import html.parser
import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_runs import HOSTILE, cut_after, make_run

from diptych.pipeline.report import build
from diptych.pipeline.report.build import build_report, write_report
from diptych.schemas.errors import ConfigError
from diptych.schemas.evaluation import Estimate, Evaluation
from diptych.schemas.input_spec import Inputs
from diptych.schemas.manifest import ModelManifest


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and all text."""

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
    assert len(parsed.all("script")) == 1  # the page's own
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert {image["src"][:22] for image in parsed.all("img")} == {"data:image/png;base64,"}


def test_page_names_nothing_outside_itself(page):
    parsed = Page(page)
    policy = next(meta["content"] for meta in parsed.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    links = [
        attributes.get("href") or attributes.get("xlink:href") for _, attributes in parsed.tags
    ]
    assert {link[0] for link in links if link} == {"#"}
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", page)
    assert not parsed.all("link")


def test_every_link_inside_has_its_target_and_no_id_is_there_twice(page):
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        attributes.get("href") or attributes.get("xlink:href") for _, attributes in parsed.tags
    ]
    assert {link[1:] for link in links if link} <= set(ids)


def test_figures_have_words_for_who_does_not_see_them(page):
    parsed = Page(page)
    assert all(image["alt"] for image in parsed.all("img"))
    pictures = [attributes for _, attributes in parsed.tags if attributes.get("role") == "img"]
    assert len(pictures) == 7  # distances, two of ROC, scatter, loss, accuracy, lineage
    assert all(len(picture["aria-label"]) > 30 for picture in pictures)
    assert all("scope" in heading for heading in parsed.all("th"))


def test_verdict_figures_and_intervals_are_there(page):
    text = Page(page).text
    assert "Blessed The model holds every rule" in text
    assert "accuracy 93.00% reaches the bar" in text
    assert "ROC AUC 0.9876 0.9776 to 0.9956" in text
    assert "Equal error rate 4.3 % 3.3 to 5.1 %" in text
    assert "TAR at 1 % FAR 80.0 % 79.0 to 80.8 %" in text
    assert "5-way 1-shot 88.0 %" in text
    assert "2026-03-01T04:30:00.000001, started 1 March 2026, 04:30 UTC" in text
    assert "3 of 500 rows or images could not be used." in text
    assert "is no image 2" in text


def test_classes_are_counted_before_and_after(page):
    # Of the class number c, 2 * (c + 1) examples; each is placed twice, in two rounds.
    text = Page(page).text
    assert "Class examples places in a round $\\frac{" not in text  # the largest is first
    assert "Class examples places in a round a b c 8 8 $\\frac{ 6 6" in text


def test_the_worst_classes_are_named_by_what_is_surely_bad(page, tmp_path):
    assert "The worst, by what is surely bad" in Page(page).text
    flawless = make_run(tmp_path / "flawless")
    folder = flawless.output("Evaluator", "evaluation").path
    figures = Evaluation.read(folder)
    classes = tuple(one.model_copy(update={"accuracy": 1.0}) for one in figures.classes)
    figures.model_copy(update={"classes": classes}).write(folder)
    assert "Every pair of every class is told right." in Page(build_report(flawless)).text


def test_lineage_leads_from_what_is_read_to_what_made_it(page):
    text = Page(page).text
    assert "Trainer ran 1.5 pairs #4 model #6 training_log #7" in text
    assert page.count('href="#thing-1"') == 3  # examples, read by three steps


def test_same_run_gives_the_same_page(run, page):
    assert build_report(run) == page


def test_not_blessed_is_said_first(tmp_path):
    text = Page(build_report(make_run(tmp_path, blessed=False))).text
    assert "Not blessed The model breaks a rule" in text
    assert "✗ broken: accuracy 93.00% misses the bar" in text


def test_data_that_came_in_pairs_have_no_classes(tmp_path):
    text = Page(build_report(make_run(tmp_path, paired=True, pictures=False))).text
    assert "The data came in pairs, which have no classes." in text
    assert "The data came in pairs: 80 in the training split" in text
    assert "examples have no classes to be coloured by" in text
    assert "Beside the model in production" not in text


def test_vectors_have_worst_pairs_without_pictures(tmp_path):
    parsed = Page(build_report(make_run(tmp_path, pictures=False)))
    assert not parsed.all("img")
    assert "The 9 pairs that are furthest on the wrong side" in parsed.text


def test_no_worst_pairs_are_good_news(tmp_path):
    run = make_run(tmp_path)
    worst = tmp_path / "evaluation" / "worst_pairs.parquet"
    pq.write_table(pq.read_table(worst).slice(0, 0), worst)
    assert "every test pair is on the right side" in Page(build_report(run)).text


def test_collapsed_embeddings_have_no_scatter(tmp_path):
    run = make_run(tmp_path)
    path = tmp_path / "evaluation" / "embeddings.parquet"
    table = pq.read_table(path)
    same = pa.array([[1.0] * 8] * len(table), table.schema.field("embedding").type)
    at = table.schema.get_field_index("embedding")
    pq.write_table(table.set_column(at, "embedding", same), path)
    assert "No picture of the embeddings" in Page(build_report(run)).text


def test_many_classes_keep_the_page_small_and_say_where_the_rest_is(tmp_path):
    names = tuple(f"class {number}" for number in range(300))
    run = make_run(tmp_path, classes=names, each=5)
    page = build_report(run)
    text = Page(page).text
    assert "the 200 least accurate of 300 classes; all are in" in text
    assert "class 299 no 5" in text  # of the lowest accuracy
    assert "class 0 yes" not in text
    assert "more classes" in text  # grey in the scatter
    assert len(page) < 1_000_000


def test_decoded_inputs_are_shown_where_there_is_a_decoder(tmp_path, page):
    assert "decoder" not in Page(page).text
    run = make_run(tmp_path)
    shutil.copy(_any_png(tmp_path), tmp_path / "evaluation" / "reconstructions.png")
    assert "What the decoder makes of the embeddings" in Page(build_report(run)).text


def test_versions_are_those_of_then_where_a_model_was_pushed(tmp_path, page):
    assert "Of the installation that wrote this report." in page
    run = make_run(tmp_path)
    pushed = tmp_path / "pushed_model" / "1"
    (pushed / "assets.extra").mkdir(parents=True)
    ModelManifest(
        **{"name": "digits", "version": 1, "created": "2026-03-01T04:31:00Z"},
        inputs=Inputs(kind="image", size=(28, 28), channels=1),
        **{"embedding_size": 8, "distance": "euclidean", "threshold": 0.9, "data": {}},
        **{"figures": {}, "configuration": {}, "packages": {"keras": "3.0.0"}, "files": {}},
    ).write(pushed)
    text = Page(build_report(run)).text
    assert "As noted when the model was pushed. keras 3.0.0 What was made" in text


def test_report_is_written_whole(run, page, tmp_path):
    write_report(run, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("last", "state", "came"),
    [
        ("Trainer", "failed", "it came to the step Trainer, which failed"),
        ("Evaluator", "running", "it came to the step Evaluator, which has not ended"),
        ("PairGen", "ran", "it came to the step PairGen, which ended, and then no further"),
    ],
)
def test_run_without_an_evaluation_says_how_far_it_came(run, last, state, came):
    with pytest.raises(ConfigError, match=came):
        build_report(cut_after(run, last, state))


def test_evaluation_that_is_gone_or_of_another_form_is_told_in_words(tmp_path):
    run = make_run(tmp_path)
    figures = tmp_path / "evaluation" / "evaluation.json"
    figures.write_text(json.dumps({"accuracy": 1}), encoding="utf-8")
    with pytest.raises(ConfigError, match="gone, damaged or of another version"):
        build_report(run)
    shutil.rmtree(tmp_path / "evaluation")
    with pytest.raises(ConfigError, match="Run the configuration again"):
        build_report(run)


def test_shares_near_the_whole_have_two_digits():
    shown = [build._percent(share) for share in (None, 0, 0.0042, 0.5, 0.9887, 0.99551, 1)]
    assert shown == ["–", "0.0 %", "0.42 %", "50.0 %", "98.9 %", "99.55 %", "100.0 %"]
    assert build._interval(Estimate(value=0.988, low=0.976, high=0.99676)) == "97.6 to 99.7 %"
    assert build._interval(Estimate(value=0.992, low=0.976, high=0.99676)) == "97.60 to 99.68 %"


def _any_png(folder):
    pictures = pq.read_table(folder / "evaluation" / "embeddings.parquet")["picture"]
    path = folder / "any.png"
    path.write_bytes(pictures[0].as_py())
    return path
