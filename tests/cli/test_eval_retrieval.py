# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from eeg_hf.evaluation import EEGImageEmbeddings
from tests.commands import fail_command, run_command
from tests.evaluation.test_embeddings_file import make


@pytest.fixture(scope="module")
def embeds(tmp_path_factory):
    return EEGImageEmbeddings(**make(60, noise=2.0)).save(tmp_path_factory.mktemp("embeds") / "test.npz")


def test_the_command_of_the_documentation_prints_and_writes_chance_and_intervals(embeds, tmp_path):
    out = tmp_path / "report.json"
    arguments = ("--metric", "recall@1,5,10", "--also", "mrr,ndcg", "--output", out, "--num_resamples", 100)
    printed = run_command("eval-retrieval", "--embeds", embeds, *arguments)
    assert "480 trials of 2 subjects, a gallery of 60 images" in printed
    assert "95 % of bootstraps over images" in printed
    rows = [line.split(" | ")[:2] for line in printed.splitlines() if line.startswith("| all 2")]
    metrics = ["recall@1", "recall@5", "recall@10", "mrr", "ndcg@1", "ndcg@5", "ndcg@10"]
    assert [name for _, name in rows] == metrics
    found = json.loads(out.read_text())
    assert found["provenance"]["settings"]["resample"] == "image" and found["provenance"]["split"] == "test"
    subjects = [found["by_subject"][name]["eeg_to_image"]["recall@5"]["value"] for name in ("01", "02")]
    score = found["eeg_to_image"]["recall@5"]
    assert score["value"] == pytest.approx(np.mean(subjects)) and score["chance"] == pytest.approx(5 / 60)
    assert score["interval"][0] < score["value"] < score["interval"][1]
    assert f"| {score['value']:.3f} [{score['interval'][0]:.3f}, " in printed
    assert set(found["image_to_eeg"]) >= {"mean_rank", "median_rank", "mrr"}


def test_averaging_and_n_way_are_said_and_done(embeds, tmp_path):
    printed = run_command(
        *("eval-retrieval", "--embeds", embeds, "--average_repetitions", "--n_way", 20),
        *("--output", tmp_path / "averaged.json", "--resample", "subject", "--num_resamples", 50),
    )
    run_command(
        "eval-retrieval", "--embeds", embeds, "--output", tmp_path / "single.json", "--num_resamples", 50
    )
    averaged, single = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("averaged", "single")
    )
    assert "120 averages of a subject's repetitions" in printed and "bootstraps over subjects" in printed
    value = averaged["eeg_to_image"]["recall@1"]["value"]
    assert value > single["eeg_to_image"]["recall@1"]["value"] + 0.1
    assert averaged["eeg_to_image"]["top@1 of 20"]["value"] > value
    assert averaged["eeg_to_image"]["top@1 of 20"]["chance"] == pytest.approx(1 / 20)
    assert averaged["by_subject"]["01"]["eeg_to_image"]["recall@1"]["interval"] is None


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    """Three trainings of one model that differ in their noise, a better method, and one of other subjects."""
    folder = tmp_path_factory.mktemp("methods")
    for seed, noise in enumerate((2.0, 2.5, 3.0)):
        EEGImageEmbeddings(**make(60, noise=noise, seed=0)).save(folder / f"clip-{seed}" / "test.npz")
    EEGImageEmbeddings(**{**make(60, noise=1.0), "model": "ridge"}).save(folder / "ridge.npz")
    EEGImageEmbeddings(**make(60, subjects=("01", "03"))).save(folder / "others.npz")
    EEGImageEmbeddings(**make(61)).save(folder / "more.npz")
    return folder


def test_methods_and_seeds_stand_in_one_table_beside_chance(methods, tmp_path):
    out = tmp_path / "comparison.json"
    printed = run_command(
        *("eval-retrieval", "--embeds", f"EEG-CLIP={methods}/clip-*/test.npz", f"{methods}/ridge.npz"),
        *("--metric", "recall@1,5", "--also", "mrr", "--output", out, "--num_resamples", 50),
    )
    assert "EEG-CLIP, ridge, split test: 480 trials" in printed and "± is the standard deviation" in printed
    lines = printed.splitlines()
    start = lines.index("**EEG → image**")
    table = [line.strip("| ").split(" | ") for line in lines[start + 2 : start + 7]]
    assert table[0] == ["Method", "recall@1", "recall@5", "mrr"]
    assert [row[0] for row in table[2:]] == ["chance", "EEG-CLIP", "ridge"] and table[2][1] == "0.017"

    found = json.loads(out.read_text())["methods"]
    singles = []
    for seed in range(3):
        each = tmp_path / "each.json"
        run_command(
            *("eval-retrieval", "--embeds", f"{methods}/clip-{seed}/test.npz", "--metric", "recall@1,5"),
            *("--output", each, "--num_resamples", 0),
        )
        singles.append(json.loads(each.read_text()))
    values = [one["eeg_to_image"]["recall@1"]["value"] for one in singles]
    score = found["EEG-CLIP"]["eeg_to_image"]["recall@1"]
    assert score["values"] == values and values[0] > values[2]
    assert score["value"] == pytest.approx(np.mean(values)) and score["sd"] == pytest.approx(np.std(values))
    assert table[3][1] == f"{np.mean(values):.3f} ± {np.std(values):.3f}"
    values = [one["by_subject"]["02"]["image_to_eeg"]["mrr"]["value"] for one in singles]
    assert found["EEG-CLIP"]["by_subject"]["02"]["image_to_eeg"]["mrr"]["values"] == values
    assert set(found["ridge"]["eeg_to_image"]["recall@1"]) == {"value", "chance", "interval"}
    assert found["ridge"]["models"] == ["ridge"] and len(found["EEG-CLIP"]["files"]) == 3


@pytest.mark.parametrize(
    ("embeds", "message"),
    [
        (("a={}/ridge.npz", "b={}/others.npz"), "b differs from a in 480 trials and 0 images of the gallery"),
        (("a={}/ridge.npz", "b={}/more.npz"), "b differs from a in 8 trials and 1 images of the gallery"),
        (("a={}/ridge.npz", "a={}/clip-1/test.npz"), "two methods are called 'a'"),
        (("a={}/none-*.npz",), "embeds: nothing matches"),
    ],
)
def test_methods_that_cannot_be_compared_end_with_one_line(methods, embeds, message):
    named = [each.format(methods) for each in embeds]
    line = fail_command("eval-retrieval", "--embeds", *named, "--num_resamples", 0)
    assert message in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "recall@1,61"), "K: the gallery has 60 items, 61 is more"),
        (("--metric", "accuracy"), "metric: expected recall@K, ndcg@K, mrr"),
        (("--n_way", "61"), "n_way: expected 2 to 60, the size of the gallery, got 61"),
        (("--match", "colour"), "match: expected one of image, concept, got 'colour'"),
    ],
)
def test_what_cannot_be_scored_ends_with_one_line(embeds, options, message):
    line = fail_command("eval-retrieval", "--embeds", embeds, *options)
    assert message in line


def test_files_that_do_not_fit_end_with_one_line(tmp_path):
    line = fail_command("eval-retrieval", "--embeds", tmp_path / "nowhere.npz")
    assert "embeds: nothing matches" in line
    one = {**make(4), "image_concepts": np.array(["x"] * 4), "concepts": np.array(["x"] * 32)}
    EEGImageEmbeddings(**one).save(tmp_path / "one.npz")
    line = fail_command(
        "eval-retrieval", "--embeds", tmp_path / "one.npz", "--match", "concept", "--metric", "recall@1"
    )
    assert "all 4 items are 'x': expected two or more to choose from" in line
