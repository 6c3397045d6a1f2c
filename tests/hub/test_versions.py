# SPDX-License-Identifier: Apache-2.0
"""A model pushed, tagged, changed and pushed again, and what people load afterwards."""

import json

import pytest

PUSH = """
import numpy as np, torch
from transformers import AutoModelForSequenceClassification
from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.hub import push, versions

torch.manual_seed(0)
config = EEGFoundationConfig(
    d_model=32, n_layers=1, n_heads=2, d_ff=64, overlap=0.0, num_labels=2, id2label={0: "rest", 1: "task"}
)
model = AutoModelForSequenceClassification.from_config(config).eval()
eeg = torch.randn(2, 19, 400)
np.save("eeg.npy", eeg.numpy())
for version in ("v1.0", "v1.1"):
    with torch.no_grad():
        np.save(f"{version}.npy", model(eeg).logits.numpy())
        np.save(f"{version}-pooled.npy", model.base_model(eeg).pooler_output.numpy())
    done = push(
        model, "org/tiny", version,
        feature_extractor=EEGFeatureExtractor(window_seconds=2.0),
        metrics={"balanced_accuracy": 0.5},
    )
    print(version, done.commit)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
print(versions("org/tiny"))
"""

LOAD = """
import sys, numpy as np, torch
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForSequenceClassification
{imports}
eeg = torch.from_numpy(np.load("eeg.npy"))
for revision, expected in {revisions}:
    kwargs = dict(revision=revision, trust_remote_code={trust})
    model = AutoModelForSequenceClassification.from_pretrained("org/tiny", **kwargs).eval()
    encoder = AutoModel.from_pretrained("org/tiny", **kwargs).eval()
    with torch.no_grad():
        assert np.array_equal(model(eeg).logits.numpy(), np.load(expected + ".npy")), revision
        assert np.array_equal(encoder(eeg).pooler_output.numpy(), np.load(expected + "-pooled.npy")), revision
    assert model.config.id2label == {{0: "rest", 1: "task"}}
    extractor = AutoFeatureExtractor.from_pretrained("org/tiny", **kwargs)
    names = model.config.channel_names
    inputs = extractor(eeg[0].numpy() * 10, sampling_rate=200, channel_names=names, unit="uV")
    assert inputs["input_values"].shape == (1, 19, 400)
print("eeg_hf" in sys.modules)
"""


@pytest.fixture(scope="module")
def pushed(client):
    """Return the commit of each version."""
    return dict(line.split(" ", 1) for line in client(PUSH).splitlines() if line.startswith("v1"))


def test_versions_load_with_and_without_the_library_and_are_each_right(hub, client, bare, pushed):
    assert hub.repositories["model", "org/tiny"].tags == pushed
    revisions = [("v1.0", "v1.0"), ("v1.1", "v1.1"), (pushed["v1.0"], "v1.0"), ("main", "v1.1")]
    without = LOAD.format(imports="", revisions=revisions, trust=True)
    assert bare(without).strip() == "False"
    with_library = LOAD.format(imports="import eeg_hf", revisions=revisions, trust=False)
    assert client(with_library).strip() == "True"


def test_a_version_holds_all_that_it_needs_and_nothing_of_another(hub, client, pushed):
    files = hub.files("org/tiny", "v1.0")
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "metrics.json"} <= set(files)
    assert {"modeling_eeg_foundation.py", "attention.py", "feature_extraction_eeg.py", "channels.py"} <= set(
        files
    )
    config = json.loads(hub.read("org/tiny", "config.json", "v1.0"))
    assert set(config["auto_map"]) == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForPreTraining",
        "AutoModelForSequenceClassification",
        "AutoFeatureExtractor",
    }
    client("""
from eeg_hf import EEGFoundationConfig, EEGFoundationModel
from eeg_hf.hub import push
model = EEGFoundationModel(EEGFoundationConfig(d_model=16, n_layers=1, n_heads=2, d_ff=32, overlap=0.0))
push(model, "org/tiny", "v2.0")
""")
    assert not {"metrics.json", "preprocessor_config.json", "feature_extraction_eeg.py"} & set(
        hub.files("org/tiny", "v2.0")
    )
    assert "metrics.json" in hub.files("org/tiny", "v1.1")


TRAIN = """
import numpy as np, torch
from huggingface_hub import HfApi
from transformers import TrainingArguments
from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGPreTrainingCollator, WindowDataset
from eeg_hf import EEGFoundationForPreTraining, get_corpus
from eeg_hf.corpora import load_windows, prepare
from eeg_hf.hub import pull, push_folder
from eeg_hf.training import EEGTrainer

extractor = EEGFeatureExtractor(window_seconds=2.0)
corpus = get_corpus("simulated", num_subjects=2, seconds=8)
prepare(corpus, "windows", extractor)
model = EEGFoundationForPreTraining(
    EEGFoundationConfig(d_model=32, n_layers=1, n_heads=2, d_ff=64, overlap=0.0, contrastive_weight=0.0)
)
args = TrainingArguments(
    "run", max_steps=2, per_device_train_batch_size=4, use_cpu=True, remove_unused_columns=False,
    push_to_hub=True, hub_model_id="org/trained", report_to="none", save_steps=2,
)
trainer = EEGTrainer(
    model=model, args=args, train_dataset=WindowDataset(load_windows("windows")), processing_class=extractor,
    data_collator=EEGPreTrainingCollator(extractor, patch_size=model.config.patch_size, view=None),
)
trainer.train()
trainer.push_to_hub()
HfApi().create_tag("org/trained", tag="v1.0")
np.save("eeg.npy", np.random.default_rng(0).normal(size=(1, 19, 400)).astype("float32"))
for version in ("v1.0", "v1.1"):
    with torch.no_grad():
        outputs = model.eval().base_model(torch.from_numpy(np.load("eeg.npy")))
    np.save(f"trained-{version}.npy", outputs.pooler_output)
    if version == "v1.0":
        args.max_steps = 4
        trainer.train()
        trainer.push_to_hub()
HfApi().create_tag("org/trained", tag="v1.1")
print(push_folder("windows", "org/windows", version="v1.0"))
"""

READ = """
import numpy as np
from datasets import load_dataset
rows = load_dataset("org/windows", split="train")
first = next(iter(load_dataset("org/windows", split="train", streaming=True, revision="v1.0")))
assert rows[0]["signal"] == first["signal"]
counts = np.frombuffer(first["signal"], "<i2").reshape(-1, first["num_samples"])
uv = counts * np.array(first["scale"])[:, None]
print(len(rows), uv.shape, len(load_dataset("org/windows", "alignment", split="train")))
"""


TRAINED = """
import numpy as np, torch
from transformers import AutoModel
eeg, found = torch.from_numpy(np.load("eeg.npy")), []
for version in ("v1.0", "v1.1"):
    model = AutoModel.from_pretrained("org/trained", revision=version, trust_remote_code=True).eval()
    with torch.no_grad():
        found.append(model(eeg).pooler_output.numpy())
    assert np.array_equal(found[-1], np.load(f"trained-{version}.npy")), version
print("equal" if np.array_equal(*found) else "different")
"""


def test_a_training_pushes_itself_and_its_windows_come_back_without_the_library(hub, client, bare):
    client(TRAIN)
    assert {"model.safetensors", "config.json", "preprocessor_config.json"} <= set(hub.files("org/trained"))
    assert bare(READ).strip() == "16 (19, 400) 2"
    assert bare(TRAINED).splitlines()[-1] == "different"
    settings = json.loads(hub.read("org/trained", "training_args.json"))
    assert settings["max_steps"] == 4 and settings["hub_model_id"] == "org/trained"
    fetched = client('import os; from eeg_hf.hub import pull; print(sorted(os.listdir(pull("org/trained"))))')
    assert "model.safetensors" in fetched and "training_args.bin" not in fetched
    card = hub.read("org/windows", "README.md", kind="dataset").decode()
    assert "license: cc0-1.0" in card


def test_a_pipeline_works_from_the_name_of_a_repository(client, pushed):
    out = client("""
import eeg_hf
from transformers import pipeline
corpus = eeg_hf.get_corpus("simulated", num_subjects=1, seconds=6)
classify = pipeline("eeg-classification", model="org/tiny", revision="v1.0")
result = classify(corpus.read(corpus.recordings()[0]))
print(result["label"] in ("rest", "task"), len(result["windows"]))
""")
    assert out.strip() == "True 3"
