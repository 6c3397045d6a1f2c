# SPDX-License-Identifier: Apache-2.0
"""Raw recordings in a repository of the Hub, loaded and streamed, and pushed as rows."""

import json

CODE = """
import json, mne, numpy as np, pybv
from pathlib import Path
from datasets import load_dataset
from huggingface_hub import HfApi
import eeg_hf

for label, amplitude in (("left", 40e-6), ("right", 80e-6)):
    folder = Path("data", "train", label)
    folder.mkdir(parents=True)
    data = amplitude * np.sin(2 * np.pi * 10 * np.arange(400) / 200)[None]
    raw = mne.io.RawArray(data, mne.create_info(["C3"], 200.0, "eeg"))
    raw.export(folder / "a.edf", physical_range=(-500, 500))
    pybv.write_brainvision(data=data, sfreq=200.0, ch_names=["C3"], fname_base="b", folder_out=folder)
api = HfApi()
api.create_repo("org/recordings", repo_type="dataset")
api.upload_folder(folder_path="data", repo_id="org/recordings", repo_type="dataset")

def describe(dataset):
    label = dataset.features["label"]
    return [(label.int2str(row["label"]), round(row["eeg"].get_data().max() * 1e6)) for row in dataset]

found = {}
for streaming in (False, True):
    found[f"raw {streaming}"] = describe(load_dataset("org/recordings", split="train", streaming=streaming))
load_dataset("org/recordings", split="train").push_to_hub("org/rows")
for streaming in (False, True):
    found[f"rows {streaming}"] = describe(load_dataset("org/rows", split="train", streaming=streaming))
print(json.dumps(found))
"""


def test_recordings_of_a_repository_come_with_their_companions(hub, client):
    found = json.loads(client(CODE).splitlines()[-1])
    expected = [["left", 40], ["left", 40], ["right", 80], ["right", 80]]
    assert found == dict.fromkeys(("raw False", "raw True", "rows False", "rows True"), expected)
    assert "dtype: eeg" in hub.read("org/rows", "README.md", kind="dataset").decode()
    assert [name for name in hub.files("org/rows", kind="dataset") if name.endswith(".parquet")] != []
