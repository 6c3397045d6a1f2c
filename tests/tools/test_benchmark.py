# SPDX-License-Identifier: Apache-2.0
"""Each part of the benchmark runs and prints its rows; the figures themselves need an idle machine."""

import importlib
import json
import sys

import pytest
import torch
from tests.clip_world import write_tower
from tests.conftest import ROOT

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
        return json.loads(path.read_text())["rows"], capsys.readouterr().out

    return call


def names_and_peers(rows):
    assert all(row["value"] > 0 for row in rows if "difference" not in row["name"])
    return [(row["name"].split(",")[0], row["ratio"] is not None) for row in rows]


def test_preparing(run):
    rows, printed = run("prepare")
    peers = [row for row in rows if row["name"] == "prepare simulated, 1 process"]
    assert len(peers) == 2 and peers[0]["ratio"] > 0
    assert "| h of EEG/min | MNE by hand |" in printed and "threads" in printed
    hours, size, cores, disk = rows[2:]
    assert hours["value"] * cores["value"] == pytest.approx(25_000)
    assert size["value"] * 25 == pytest.approx(disk["value"])


@pytest.mark.slow
def test_many_windows(run):
    rows, _ = run("scale")
    names_and_peers(rows)
    assert [row["name"].split(",")[1] for row in rows[:3]] == [
        " streamed",
        " shards to be converted",
        " again",
    ]
    assert all("64 windows" in row["name"] for row in rows[:3])
    assert all(row["value"] < 2000 for row in rows if row["unit"] == "MB")


def test_padding(run):
    (row,), _ = run("padding")
    assert row["value"] < 2 < 60 < row["peer"] < 70


def test_reading(run):
    rows, printed = run("read")
    first, read = ("time to first window", False), ("read 20 x 2000", True)
    assert names_and_peers(rows) == [first, first, read, read, read, read, read]
    assert all(kind in printed for kind in ("decoded", "none", "microvolt", "zscore", "robust"))


@pytest.mark.parametrize(
    ("part", "names"), [("train", ["train tiny", "train tiny"]), ("inference", ["infer tiny"])]
)
def test_a_model_is_timed_beside_one_of_like_size(run, part, names):
    pytest.importorskip("braindecode")
    rows, _ = run(part)
    assert names_and_peers(rows) == [(name, True) for name in names]
    assert all("Labram" in row["peer_name"] and "parameters" in row["peer_name"] for row in rows)


def test_a_missing_peer_is_said_to_be_absent(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "braindecode.models", None)
    rows, printed = run("inference")
    assert names_and_peers(rows) == [("infer tiny", False)]
    assert "absent, no braindecode" in printed


@pytest.mark.slow
def test_importing(run):
    rows, printed = run("import")
    assert [row["name"] for row in rows] == ["import eeg_hf, on top of the peer"] and rows[0]["peer"] > 0
    assert "import torch, transformers" in printed


def test_memory_is_that_of_a_process_of_its_own(benchmark, part):
    ballast = bytearray(500_000_000)  # in this process, and in no other
    ballast[::4096] = b"x" * len(ballast[::4096])
    timing = part("timing")
    imports, reading = benchmark.measures()["memory"](timing.BenchmarkArguments(num_windows=200, sizes=[]))
    assert 50 < imports.value < reading.value < timing.peak_memory(None) - 300


@pytest.mark.slow
def test_compiling(run):
    rows, _ = run("compile", "--compile_backend", "eager")
    infer, train = ("torch.compile, infer tiny", "torch.compile, train tiny")
    assert [row["name"] for row in rows if row["ratio"]] == [infer, train]
    assert all(row["value"] < 1e-5 for row in rows if "difference" in row["name"])


def test_the_tangent_space_is_timed_beside_pyriemann_with_equal_scores(run):
    (row,), _ = run("classical")
    assert row["ratio"] > 0 and "pyriemann" in row["peer_name"]


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
def test_every_format_is_timed_beside_eager(run):
    pytest.importorskip("onnxscript")
    rows, _ = run("exported", "--compile_backend", "eager")
    found = {row["name"].partition("parameters, ")[2]: row for row in rows}
    assert {"ONNX", "ONNX, int8 dynamic", "ONNX, int8 static", "torch.compile"} <= set(found)
    assert all(row["value"] > 0 and row["ratio"] > 0 for row in rows)


def test_what_cannot_be_compiled_is_a_row_with_the_reason(run):
    rows, printed = run("compile", "--compile_backend", "nonsense")
    assert [row["value"] for row in rows] == [None, None] and "failed: InvalidBackend" in printed


@pytest.mark.parametrize(("option", "word"), [("--parts", "reading"), ("--sizes", "huge"), ("--pears", "3")])
def test_what_is_not_known_is_refused_by_name(benchmark, monkeypatch, option, word):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", option, word])
    with pytest.raises(ValueError, match=word):
        benchmark.main()


def test_growth(run):
    rows, printed = run("growth")
    exponents = [row for row in rows if row["name"].startswith("exponent")]
    assert [row["name"].split()[2] for row in exponents] == ["channels,", "seconds,", "width,", "batch,"]
    assert exponents[3]["peer"] == pytest.approx(1, abs=0.01)  # operations are proportional to the batch
    assert exponents[0]["peer"] > 0.9 and "thousand million operations" in printed
