# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from eeg_hf.evaluation import EEGImageEmbeddings
from tests.evaluation.test_embeddings_file import make
from tests.scripts.test_evaluate_eeg2025 import run_here


@pytest.fixture(scope="module")
def embeds(tmp_path_factory):
    return EEGImageEmbeddings(**make(60, noise=2.0)).save(tmp_path_factory.mktemp("embeds") / "test.npz")


def test_the_command_of_the_documentation_prints_and_writes_chance_and_intervals(embeds, tmp_path):
    out = tmp_path / "report.json"
    arguments = ("--metric", "recall@1,5,10", "--also", "mrr,ndcg", "--out", out, "--num_resamples", 100)
    printed = run_here("eval_retrieval.py", "--embeds", embeds, *arguments)
    assert "480 trials of 2 subjects, a gallery of 60 images" in printed
    assert "95 % of bootstraps over images" in printed
    rows = [line.split(" | ")[:2] for line in printed.splitlines() if line.startswith("| all 2")]
    metrics = ["recall@1", "recall@5", "recall@10", "mrr", "ndcg@1", "ndcg@5", "ndcg@10"]
    assert [name for _, name in rows] == metrics
    found = json.loads(out.read_text())
    assert found["provenance"]["settings"]["resample"] == "image" and found["provenance"]["split"] == "test"
    people = [found["by_subject"][name]["eeg_to_image"]["recall@5"]["value"] for name in ("01", "02")]
    score = found["eeg_to_image"]["recall@5"]
    assert score["value"] == pytest.approx(np.mean(people)) and score["chance"] == pytest.approx(5 / 60)
    assert score["interval"][0] < score["value"] < score["interval"][1]
    assert f"| {score['value']:.3f} [{score['interval'][0]:.3f}, " in printed
    assert set(found["image_to_eeg"]) >= {"mean_rank", "median_rank", "mrr"}


def test_averaging_and_n_way_are_said_and_done(embeds, tmp_path):
    printed = run_here(
        *("eval_retrieval.py", "--embeds", embeds, "--average_repetitions", "--n_way", 20),
        *("--out", tmp_path / "averaged.json", "--resample", "subject", "--num_resamples", 50),
    )
    run_here(
        "eval_retrieval.py", "--embeds", embeds, "--out", tmp_path / "single.json", "--num_resamples", 50
    )
    averaged, single = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("averaged", "single")
    )
    assert "120 averages of a person's repetitions" in printed and "bootstraps over subjects" in printed
    value = averaged["eeg_to_image"]["recall@1"]["value"]
    assert value > single["eeg_to_image"]["recall@1"]["value"] + 0.1
    assert averaged["eeg_to_image"]["top@1 of 20"]["value"] > value
    assert averaged["eeg_to_image"]["top@1 of 20"]["chance"] == pytest.approx(1 / 20)
    assert averaged["by_subject"]["01"]["eeg_to_image"]["recall@1"]["interval"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "recall@1,61"), "K: the gallery has 60 items, 61 is more"),
        (("--metric", "accuracy"), "metric: expected recall@K, ndcg@K, mrr"),
        (("--n_way", "61"), "n_way: expected 2 to 60, the size of the gallery, got 61"),
        (("--match", "colour"), "expected match image or concept"),
    ],
)
def test_what_cannot_be_scored_ends_with_one_line(embeds, fail_script, options, message):
    line, code = fail_script("eval_retrieval.py", "--embeds", embeds, *options)
    assert message in line and code == 1


def test_files_that_do_not_fit_end_with_one_line(tmp_path, fail_script):
    line, code = fail_script("eval_retrieval.py", "--embeds", tmp_path / "nowhere.npz")
    assert "nowhere.npz does not exist" in line and code == 1
    one = {**make(4), "image_concepts": np.array(["x"] * 4), "concepts": np.array(["x"] * 32)}
    EEGImageEmbeddings(**one).save(tmp_path / "one.npz")
    line, code = fail_script(
        "eval_retrieval.py", "--embeds", tmp_path / "one.npz", "--match", "concept", "--metric", "recall@1"
    )
    assert "all 4 items are 'x': expected two or more to choose from" in line and code == 1
