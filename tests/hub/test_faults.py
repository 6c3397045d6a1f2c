# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between here and the Hub is said in one line, and mended by trying again."""

import hashlib

import pytest

SETUP = """
import sys, warnings
warnings.simplefilter("ignore")
from eeg_hf import EEGFoundationConfig, EEGFoundationModel
from eeg_hf.hub import HubError, pull, push, versions
from huggingface_hub import HfApi

def attempt(action):
    try:
        return "ok", action()
    except (HubError, ValueError, OSError) as error:
        return type(error).__name__, str(error)

def tiny():
    return EEGFoundationModel(EEGFoundationConfig(d_model=16, n_layers=1, n_heads=2, d_ff=32, overlap=0.0))
"""


@pytest.fixture(scope="module")
def attempts(client):
    """Return a function that evaluates expressions one after another and returns what each said."""

    def run(*expressions, **environment):
        lines = [f"print(*attempt(lambda: {expression}), sep=': ')" for expression in expressions]
        said = client(SETUP + "\n".join(lines), **environment).splitlines()
        assert len(said) == len(expressions), said  # one line each
        return said

    return run


@pytest.fixture(autouse=True)
def mended(hub):
    """Let nothing go wrong any more after a test."""
    yield
    hub.faults.clear()
    hub.capacity = None


def test_an_upload_that_broke_is_completed_by_the_same_call(hub, attempts):
    hub.fail("PUT", "/lfs/", cut=1000, times=20)
    broke, there = attempts('push(tiny(), "org/cut", "v1.0")', 'versions("org/cut")')
    assert broke.startswith("HubError: the connection to the Hub broke at org/cut")
    assert there == "ok: []"
    hub.faults.clear()
    done, there, again = attempts(
        'push(tiny(), "org/cut", "v1.0").version', 'versions("org/cut")', 'pull("org/cut", "v1.0").name'
    )
    assert (done, there) == ("ok: v1.0", "ok: ['v1.0']") and again.startswith("ok: ")


def test_a_push_that_stopped_before_its_tag_is_completed_and_a_version_is_never_moved_unasked(hub, attempts):
    hub.fail("POST", "/tag/", status=500, times=20)
    model = "globals().setdefault('model', tiny())"
    said = attempts(f'push({model}, "org/untagged", "v1.0")', 'versions("org/untagged")')
    assert "the Hub failed at org/untagged" in said[0] and said[1] == "ok: []"
    hub.faults.clear()
    said = attempts(
        f'push({model}, "org/untagged", "v1.0").version',
        f'push({model}, "org/untagged", "v1.0")',
        'push(tiny(), "org/untagged", "v1.0", overwrite=True).version',
        f'push({model}, "org/untagged", "first")',
        f'push({model}, "org/untagged", "v9.9", dry_run=True).commit',
        'versions("org/untagged")',
    )
    assert said[0] == "ok: v1.0"
    assert (
        said[1]
        == "HubError: org/untagged has a version v1.0 already: choose the next number, or set overwrite"
    )
    assert said[2] == "ok: v1.0"
    assert said[3].startswith("ValueError: version: expected the form v1.0")
    assert said[4:] == ["ok: None", "ok: ['v1.0']"]


def test_a_damaged_download_is_removed_and_fetched_again(hub, attempts):
    attempts('push(tiny(), "org/damaged", "v1.0").version')
    hub.fail("GET", r"org/damaged/resolve/.*safetensors", corrupt=True)
    said = attempts('pull("org/damaged", "v1.0")', 'pull("org/damaged", "v1.0").name')
    assert said[0] == (
        "HubError: org/damaged: model.safetensors arrived damaged and was removed: fetch it again"
    )
    assert said[1].startswith("ok: ")


def test_hiccups_of_the_hub_are_got_over(hub, attempts):
    attempts('push(tiny(), "org/hiccup", "v1.0").version')
    hub.fail("GET", "org/hiccup/resolve/.*config.json", status=503)
    hub.fail("GET", r"org/hiccup/resolve/.*safetensors", cut=500)
    said = attempts(*['pull("org/hiccup", "v1.0").name'] * 2)
    assert "the Hub failed at org/hiccup" in said[0] and "what arrived is kept, try again" in said[0]
    assert said[1].startswith("ok: ")  # the connection cut in the middle of the weights is taken up again
    hub.faults.clear()


def test_a_slow_hub_and_a_hash_that_is_wrong_change_nothing_of_what_arrives(hub, attempts):
    attempts('push(tiny(), "org/slow", "v1.0").version')
    hub.fail("HEAD", "org/slow/resolve/.*config.json", delay=1.0)
    hub.fail("HEAD", "org/slow/resolve/.*safetensors", etag="0" * 64, times=9)
    weights = '(pull("org/slow", "v1.0") / "model.safetensors").read_bytes()'
    (said,) = attempts(f'__import__("hashlib").sha256({weights}).hexdigest()')
    assert said == f"ok: {hashlib.sha256(hub.read('org/slow', 'model.safetensors')).hexdigest()}"


def test_a_repository_with_a_pickle_is_refused(hub, attempts):
    upload = 'api.upload_file(path_or_fileobj=b"x", path_in_repo="pytorch_model.bin", repo_id="org/pickled")'
    said = attempts(
        'HfApi().create_repo("org/pickled").repo_id',
        f'(lambda api: {upload})(HfApi()) and "sent"',
        'pull("org/pickled")',
    )
    assert said[:2] == ["ok: org/pickled", "ok: sent"]
    assert said[2].startswith("HubError: org/pickled holds a pickle (pytorch_model.bin), which runs code")


def test_people_without_the_right_to_something_are_told_what_to_do(hub, attempts):
    attempts(
        'push(tiny(), "org/secret", "v1.0", private=True).version',
        'push(tiny(), "org/gated", "v1.0").version',
    )
    hub.repositories["model", "org/gated"].gated = True
    wrong = "hf_wrongToken456"
    said = attempts(
        'pull("org/secret")',
        'pull("org/gated")',
        'pull("org/gated", "v8")',
        'push(tiny(), "org/new", "v1.0")',
        HF_TOKEN=None,
    )
    assert said[0].startswith(
        "HubError: org/secret is not on the Hub, or is private and you are not logged in"
    )
    assert said[1].startswith("HubError: org/gated is gated: ask for access")
    assert said[2].startswith(
        "HubError: org/gated has no version v8: `eeg_hf.hub.versions('org/gated')` lists"
    )
    assert "hf auth login" in said[3]
    said = attempts('push(tiny(), "org/new", "v1.0")', 'pull("org/secret")', HF_TOKEN=wrong)
    assert said[0].startswith("HubError: the Hub does not accept the token for org/new: run `hf auth login`")
    assert not any(wrong in line for line in said)
    hub.fail("POST", "org/secret/preupload", status=403)
    (said,) = attempts('push(tiny(), "org/secret", "v1.1")')
    assert said.startswith("HubError: the token may not do this to org/secret")


def test_a_full_or_unreachable_hub_is_named(hub, attempts):
    hub.capacity = 1
    (full,) = attempts('push(tiny(), "org/full", "v1.0")')
    assert full == (
        "HubError: the Hub does not take the files of org/full: no room left: the storage quota is used up"
    )
    (elsewhere,) = attempts('pull("org/none-such")')
    assert elsewhere.startswith("HubError: org/none-such is not on the Hub")


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"ENDPOINT": "http://127.0.0.1:9"}, "the connection to the Hub broke at org/far"),
        (
            {"HF_HUB_OFFLINE": True},
            "org/far cannot be reached: HF_HUB_OFFLINE is set; unset it, or use a local folder",
        ),
    ],
)
def test_without_a_network_everything_ends_in_one_line(constants, message, client):
    code = """
from unittest.mock import patch
import huggingface_hub.constants
with patch.multiple(huggingface_hub.constants, **CONSTANTS):
    print(*attempt(lambda: pull("org/far", "v1.0")), sep=": ")
"""
    (said,) = client(f"{SETUP}\nCONSTANTS = {constants!r}\n{code}").splitlines()
    assert said.startswith(f"HubError: {message}")


def test_no_token_is_in_anything_that_was_stored(hub, client, attempts):
    attempts('push(tiny(), "org/stored", "v1.0").version', 'pull("org/stored").name')
    said = client("""
from pathlib import Path
from eeg_hf.hub.errors import without_tokens
print(without_tokens("Bearer hf_goodToken123 refused"))
files = [path for path in Path(".").rglob("*") if path.is_file()]
print(len(files) > 0, [str(path) for path in files if b"hf_" + b"goodToken123" in path.read_bytes()])
""")
    assert said.splitlines() == ["Bearer hf_*** refused", "True []"]
    assert not [path for path in (hub.folder / "blobs").iterdir() if b"goodToken123" in path.read_bytes()]
