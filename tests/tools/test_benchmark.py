# SPDX-License-Identifier: Apache-2.0
"""Each part of the benchmark runs and prints its rows; the figures themselves need an idle machine."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from tests.clip_world import write_tower
from tests.conftest import ROOT
from tests.corpora.written_trees import write_edf_signals

from eeg_hf import EEGImageCollator, WindowDataset, create_vision_tower
from eeg_hf.images.eeg_image_collator import PAIR_COLUMNS


@pytest.fixture
def benchmark(monkeypatch):
    """Return the script as a module, its model as small as Labram allows."""
    monkeypatch.setattr(
        sys, "path", [str(ROOT / "tools"), *sys.path]
    )  # onnxruntime has a module benchmark too
    module = importlib.import_module("benchmark")
    models = importlib.import_module("benchmark_parts.models")
    monkeypatch.setitem(models.SIZES, "tiny", models.Size(16, 1, 2, 32, labram_filters=4))
    return module


@pytest.fixture
def part(benchmark):
    """Return a function from the name of a part to its module."""
    return lambda name: importlib.import_module(f"benchmark_parts.{name}")


@pytest.fixture
def run(benchmark, monkeypatch, capsys, tmp_path):
    """Return a function that measures one part and returns its rows and output."""

    def call(part, *options):
        path = tmp_path / "out" / "benchmark.json"
        arguments = ["--quick", "--parts", part, "--output", str(path), *options]
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *arguments])
        benchmark.main()
        return json.loads(path.read_text())[part]["rows"], capsys.readouterr().out

    return call


def names_and_peers(rows):
    assert all(row["value"] > 0 for row in rows if "difference" not in row["name"])
    return [(row["name"].split(",")[0], row["ratio"] is not None) for row in rows]


def test_preparing(run):
    rows, printed = run("prepare")
    peers = [row for row in rows if row["name"] == "prepare simulated, 1 process"]
    assert len(peers) == 2 and peers[0]["ratio"] > 0
    assert "| MNE by hand, " in printed and " h of EEG/min |" in printed and "threads" in printed
    megabytes, gigabytes, speed, one, machine, cluster = (row["value"] for row in rows[2:])
    assert megabytes * 25 == pytest.approx(gigabytes) and speed * one == pytest.approx(25_000)
    assert one / machine == pytest.approx(16) and machine / cluster == pytest.approx(4)


def test_a_corpus_is_prepared_several_times_over(run, tmp_path):
    random = np.random.default_rng(0)
    for subject in "ab":
        signals = [(name, random.normal(0, 20, 250 * 30)) for name in ("Fp1", "Fp2", "O1", "O2")]
        write_edf_signals(tmp_path / "lab" / subject / "rest.edf", signals, 250)
    options = ("--corpus", "folder", "--data_dir", str(tmp_path / "lab"), "--processes", "1")
    rows, _ = run("prepare", *options, "--subjects", "2", "--copies", "3")
    assert rows[0]["name"] == "prepare folder x 3, 1 process" and rows[0]["ratio"] > 0
    with pytest.raises(ValueError, match="--copies: expected a corpus of files"):
        run("prepare", "--copies", "3")


def test_two_processes_are_compared_with_one(part):
    preparing = part("preparing")
    seconds = {("eeg_hf", 1): [4.0], ("eeg_hf", 2): [2.5], ("MNE by hand", 1): [6.0]}
    two, by_hand = preparing.compare_preparations("eegmat", seconds, hours=1.0)
    assert two.name == "prepare eegmat, 2 processes" and two.ratio == pytest.approx(1.6)
    assert two.is_reached is False and by_hand.ratio == pytest.approx(1.5) and by_hand.is_reached is None


def test_long_recordings_are_prepared(run, part, monkeypatch, tmp_path):
    preparing = part("preparing")  # whose process of its own is tested below
    monkeypatch.setattr(preparing, "in_fresh_process", lambda work, *arguments: work(*arguments))
    rows, printed = run("long", "--scratch", str(tmp_path))
    assert [row["aim"] for row in rows] == ["≤ 1000 MB"] and 50 < rows[0]["value"] < 5000
    assert "--scratch" not in printed  # a path of this machine


@pytest.mark.slow
def test_many_windows(run):
    rows, _ = run("scale")
    names_and_peers(rows)
    assert [row["name"].split(",")[1] for row in rows[:3]] == [
        " streamed",
        " mapped",
        " mapped again",
    ]
    assert all("64 windows" in row["name"] for row in rows[:3])
    assert all(row["value"] < 2000 for row in rows if row["unit"] == "MB")


def test_padding(run):
    (row,), _ = run("padding")
    assert row["value"] < 2 < 60 < row["peer"] < 70


def test_reading(run):
    rows, printed = run("read")
    first, read = ("first window", False), ("read 20 x 2000", True)
    assert names_and_peers(rows) == [first, first, read, read, read, read, read]
    assert all(kind in printed for kind in ("decoded", "none", "microvolt", "zscore", "robust"))


def test_a_model_is_timed_beside_one_of_like_size(run):
    pytest.importorskip("braindecode")
    rows, _ = run("train", "--compile_backend", "eager")
    beside = [row for row in rows if row["ratio"] and "memory kept" not in row["peer_name"]]
    raced = {row["name"].rpartition(", ")[2]: row for row in beside}
    limit = raced.pop("matrix products alone")
    assert raced.keys() == {"eager", "compiled"} and limit["aim"] == ""
    assert all(row["aim"] and row["value"] > 0 and row["name"].startswith("train") for row in raced.values())
    assert all("Labram" in row["peer_name"] and "parameters" in row["peer_name"] for row in raced.values())


def test_a_missing_peer_is_said_to_be_absent(part, monkeypatch):
    monkeypatch.setitem(sys.modules, "braindecode.models", None)
    made = part("models").make_labram("tiny", 0.1, 2, True)
    assert made.work is None and made.about.startswith("absent, no braindecode")
    (row,) = part("models").rows_beside({"eager": [0.5]}, "train", 2, made.about, {"eager": "≥ 2"})
    assert row.ratio is None and row.value == 4 and row.is_reached is None


@pytest.mark.slow
def test_importing(run):
    rows, printed = run("import")
    assert [row["name"].partition(",")[0] for row in rows] == [
        "import eeg_hf",
        "eeg-hf --help",
        "eeg-hf pretrain --help",
    ]
    assert all(row["value"] < row["peer"] for row in rows[:1]) and "import torch, transformers" in printed


def test_memory_is_that_of_a_process_of_its_own(benchmark, part):
    ballast = bytearray(500_000_000)  # in this process, and in no other
    ballast[::4096] = b"x" * len(ballast[::4096])
    timing = part("timing")
    imports, reading = benchmark.measures()["memory"](timing.BenchmarkArguments(num_windows=200, sizes=[]))
    assert 50 < imports.value < reading.value < timing.peak_memory(None) - 300


def test_the_memory_of_training_is_that_of_kept_memory_and_of_memory_given_back(part):
    pytest.importorskip("braindecode")
    timing = part("timing")
    arguments = timing.BenchmarkArguments(sizes=["tiny"], memory_batch_size=2)
    kept, given_back = part("models").measure_training_memory(arguments)
    assert kept.aim and not given_back.aim and kept.ratio > 0 and kept.peer == given_back.peer
    assert "given back" in given_back.name and 50 < given_back.value < 5000


def test_the_tangent_space_is_timed_beside_pyriemann_with_equal_scores(run):
    rows, _ = run("classical")
    assert [row["name"].partition(" ")[0] for row in rows] == ["fit", "test"]
    assert all(row["ratio"] > 0 and "pyriemann" in row["peer_name"] for row in rows)


def test_codecs_are_timed_beside_pca_of_as_many_bits(run):
    pytest.importorskip("vector_quantize_pytorch")
    rows, printed = run("codec")
    code = [(f"encode + decode {architecture}", True) for architecture in ("mlp", "conv")]
    assert names_and_peers(rows) == [*code, *code, ("quantize to codes and indices", True)]
    assert "12 bits/s" in printed and "200 bits/s" in printed and "vector-quantize-pytorch" in printed


def test_a_missing_quantizer_is_said_to_be_absent(part, monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    timing = part("timing")
    row = part("codec").race_quantizers(timing.BenchmarkArguments(pairs=1))
    assert row.value > 0 and row.ratio is None and "absent" in row.peer_name


@pytest.mark.slow
def test_adapters_and_losses_are_timed_beside_none_and_reconstruction_alone(part, monkeypatch):
    phases = part("phases")
    monkeypatch.setattr(phases, "in_fresh_process", lambda work, *arguments: 1.0)  # tested below
    timing = part("timing")
    rows = phases.measure_phases(timing.BenchmarkArguments(pairs=1, sizes=["tiny"], batch_size=4))
    assert [row.name.split(", ")[2] for row in rows if row.unit == "windows/s"] == [
        *("zero_pad", "spline", "perceiver"),
        *("spline", "perceiver"),
        *("+ auxiliary tasks", "+ contrast of two views", "+ contrast of subjects at one film"),
    ]
    assert all(row.ratio > 0 for row in rows if row.value is not None)
    (refused,) = (row for row in rows if row.value is None)
    assert "64 -> 19" in refused.name and "expected at most 19 channels, got 64" in refused.peer_name
    assert all("0 parameters more" in row.name for row in rows if "zero_pad, " in row.name)


@pytest.mark.slow
def test_the_memory_of_an_adapter_is_that_of_a_process_of_its_own(part):
    phases = part("phases")
    timing = part("timing")
    make_step = phases.Pretraining("64 -> 19", "spline").make_step
    peak = timing.in_fresh_process(timing.peak_memory, timing.train_twice, make_step, "tiny", 1)
    assert 100 < peak < 4000


def test_clip_is_timed_on_embeddings_beside_the_tower_in_the_loop(run, tmp_path):
    tower = write_tower(tmp_path / "tower")
    rows, _ = run("clip", "--vision_encoder", tower)
    train = ("train CLIP", True)
    once = [(f"embed images with {tower}", False), ("embedding has paid after", False)]
    assert [(row["name"].split(",")[0], row["ratio"] is not None) for row in rows] == [train, train, *once]
    assert all("batch of 4" in row["name"] for row in rows[:2]) and "in the loop" in rows[0]["peer_name"]
    assert all(row["value"] > 0 for row in rows[:3])  # a tiny tower may save nothing


def test_clip_trains_on_the_same_pairs_either_way(part, tmp_path):
    clip = part("clip")
    tower = create_vision_tower(write_tower(tmp_path / "tower"))
    dataset, folder = clip.write_pairs(tmp_path, 3, tower)
    table = WindowDataset(dataset, PAIR_COLUMNS).__getitems__([2, 0, 1])
    ready, decoded = (
        EEGImageCollator(clip.EXTRACTOR, images)(table)
        for images in (clip.embed_images(folder, tower), folder)
    )
    assert ready["input_values"].shape == (3, 19, 100)
    with torch.no_grad():
        torch.testing.assert_close(ready["image_embeds"], tower(decoded["pixel_values"]))
    assert len(set(ready["image_ids"].tolist())) == 3 and ready["image_embeds"].std(dim=0).min() > 1e-6
    assert torch.equal(ready["image_ids"], decoded["image_ids"])


def test_clip_without_open_clip_is_said_to_be_absent(benchmark, part, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    timing = part("timing")
    (row,) = benchmark.measures()["clip"](timing.BenchmarkArguments())
    assert row.value is None and "absent" in row.peer_name and "eeg-hf[clip]" in row.peer_name


@pytest.mark.slow  # an export takes 20 s of a core
def test_every_format_is_timed_beside_labram(run):
    pytest.importorskip("onnxscript")
    pytest.importorskip("braindecode")
    rows, _ = run("inference", "--compile_backend", "eager")
    beside = [row for row in rows if row["ratio"] and "memory kept" not in row["peer_name"]]
    found = {row["name"].partition("tiny, ")[2]: row for row in beside}
    assert {"eager", "compiled", "ONNX", "ONNX, int8 dynamic", "ONNX, int8 static"} <= set(found)
    assert {name for name, row in found.items() if row["aim"]} == {
        "eager",
        "compiled",
        "ONNX",
        "ONNX, int8 dynamic",
    }


def test_what_cannot_be_compiled_is_a_row_with_the_reason(part):
    made = part("models").make_compiled("tiny", 0.1, 2, True, "nonsense")
    assert made.work is None and made.about.value is None
    assert made.about.peer_name.startswith("failed: InvalidBackend")


def test_exported_models_have_to_be_named(run):
    with pytest.raises(ValueError, match="--exported_models"):
        run("exported")


@pytest.mark.parametrize(("option", "word"), [("--parts", "reading"), ("--sizes", "huge"), ("--pears", "3")])
def test_what_is_not_known_is_refused_by_name(benchmark, monkeypatch, option, word):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", option, word])
    with pytest.raises(ValueError, match=word):
        benchmark.main()


def test_growth(run, part, tmp_path):
    rows, printed = run("growth")
    growth, timing = part("growth"), part("timing")
    axes = growth.by_axis([timing.Row(**row) for row in rows])
    assert [*axes] == ["channels", "seconds", "width", "batch"] and "| 4, 8 channels |" in printed
    counted = {axis: growth.exponents(steps)[1] for axis, steps in axes.items()}
    assert counted["batch"] == pytest.approx(1, abs=0.01)  # operations are proportional to the batch
    assert counted["channels"] > 0.9 and (tmp_path / "out/growth.png").stat().st_size > 1000


@pytest.mark.slow  # two processes import torch and transformers
def test_two_processes_train_beside_one(run):
    rows, _ = run("distributed")
    assert rows[0]["aim"] == "≥ 1.8" and 0 < rows[0]["ratio"] < 3
    one, machine, cluster = (row["value"] for row in rows[1:])
    assert one * rows[0]["peer"] * 3600 == pytest.approx(9e6)  # windows
    assert cluster > machine / 4 > 0 and "assumed 10 Gbit/s" in rows[-1]["peer_name"]


def test_the_cost_of_a_large_corpus(part):
    cost = part("cost")
    assert cost.speed_up(1, 1.8) == 1 and cost.speed_up(2, 1.8) == pytest.approx(1.8)
    assert cost.speed_up(16, 2.0) == 16 and cost.speed_up(16, 1.8) == pytest.approx(16 * 0.9**4)
    assert cost.exchange_seconds(125e6, 10.0) == pytest.approx(0.2)  # 1 Gbit, there and back
    one, machine, cluster = cost.cost_of_training("tiny", 100.0, 8, 2.0, 125e6, 10.0)
    assert one.value == pytest.approx(25) and machine.value == pytest.approx(25 / 16)
    # A step takes 0.08 s and its exchange 0.2 s
    assert cluster.value == pytest.approx(25 / 64 * 0.28 / 0.08)


def test_without_a_gpu_its_part_runs_in_miniature_and_says_so(run, part, monkeypatch):
    gpu = part("gpu")
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    monkeypatch.setattr(gpu, "RECIPES", {"25 M": "pretrain_small"})
    rows, _ = run("gpu", "--compile_backend", "eager")
    assert all(row["name"].startswith("miniature on the CPU: ") and not row["aim"] for row in rows)
    names = [row["name"].partition(": ")[2] for row in rows]
    trained = [row for row, name in zip(rows, names, strict=True) if name.startswith("train")]
    assert names[0].startswith("multiply matrices") and names[-1].startswith("read and collate")
    # Windows a second times operations of a window is the share of the limit
    assert len(trained) >= 2 and all(0 < row["ratio"] < 1 for row in trained)
    assert any("flash, layers compiled" in row["name"] for row in trained)


def test_the_sizes_of_the_gpu_are_those_of_the_recipes(part, monkeypatch):
    gpu = part("gpu")
    monkeypatch.setattr(gpu, "MINIATURE", {})
    monkeypatch.setattr(gpu, "DEVICE", "meta")
    with torch.device("meta"):
        counts = [gpu.Variant().build(recipe).num_parameters() / 1e6 for recipe in gpu.RECIPES.values()]
    assert counts == pytest.approx([float(size.split()[0]) for size in gpu.RECIPES], rel=0.1)


def test_what_begins_too_late_is_left_out_and_said_so(part, monkeypatch):
    gpu = part("gpu")
    monkeypatch.setattr(gpu, "LIMIT_SECONDS", -1.0)
    limit, *others = gpu.measure_all(gpu.SMALL, "eager")
    assert limit.value > 0 and len(others) == 9
    assert all(row.value is None and "left out" in row.peer_name for row in others)


def test_parts_of_several_runs_are_merged_into_one_file_and_page(part, tmp_path):
    report, timing = part("report"), part("timing")
    page, path = tmp_path / "speed.md", tmp_path / "speed.json"
    page.write_text("# Mine\n\n<!-- benchmark read -->\nold\n<!-- end -->\nWhat limits it.\n")

    def measured(ratio, date):
        rows = [vars(timing.Row("read", 3.0, "windows/s", 2.0, ratio, "numpy", "≥ 1.4"))]
        return {
            "machine": {"cores": 2},
            "options": "--threads 1",
            "commit": "abc",
            "date": date,
            "rows": rows,
        }

    report.update(path, "read", measured(1.5, "2026-01-01"))
    report.update(path, "padding", measured(1.3, "2026-01-02"))
    report.update(path, "read", measured(1.6, "2026-01-03"))
    assert [*json.loads(path.read_text())] == ["read", "padding"]
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- benchmark read -->\n| what |") and "old" not in text
    assert "What limits it." in text and "2026-01-01" not in text and "| 1.6 | ≥ 1.4 |" in text
    assert "## padding" in text and "| 1.3 | **≥ 1.4, missed** |" in text
    assert "`python tools/benchmark.py --parts read --threads 1`, cores 2, commit `abc`, 2026-01-03." in text
    assert report.fill_page(text, report.read_parts(path)) == text
    with pytest.raises(ValueError, match="expected a file of this tool"):
        path.write_text('{"rows": []}')
        report.update(path, "read", measured(1.5, "2026-01-01"))


@pytest.mark.parametrize(
    ("aim", "reached"),
    [("≥ 1.7", True), ("≥ 1.8", False), ("≤ 0.7", False), ("≤ 4 s", True), ("≤ 2 s", False), ("so", None)],
)
def test_an_aim_is_of_the_ratio_or_with_a_unit_of_the_value(part, aim, reached):
    row = part("timing").Row("this", 3.0, "s", 2.0, 1.7, aim=aim)
    assert row.is_reached is reached and ("missed" in row.cells()["aim"]) == (reached is False)


def test_the_tables_of_the_documentation_are_what_the_tool_writes(part):
    report = part("report")
    parts, page = report.read_parts(ROOT / "docs/speed.json"), (ROOT / "docs/speed.md").read_text()
    assert report.fill_page(page, parts) == page
    assert "/tmp" not in json.dumps(parts) and not any(
        "--quick" in each["options"] for each in parts.values()
    )


def test_options_that_change_figures_are_told_and_paths_are_not(benchmark, part):
    args = part("timing").BenchmarkArguments(threads=2, sizes=["tiny"], data_dir="/here", quick=True)
    assert benchmark.describe_options(args) == "--quick --threads 2 --sizes tiny"
