# SPDX-License-Identifier: Apache-2.0
"""The page that describes a server's addresses: plain HTML, without scripts or anything from the network."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .reading import ARRAY_FIELDS

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{background:#f3f3f5;padding:.1rem .3rem;border-radius:4px}pre{padding:.8rem;overflow-x:auto}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}
"""


def request_bodies() -> dict[str, Any]:
    """Return the OpenAPI description of the two bodies that a prediction takes."""
    number = {"type": "number"}
    array = {
        "type": "object",
        "required": list(ARRAY_FIELDS[:4]),
        "properties": {
            "samples": {
                "type": "array",
                "items": {"type": "array", "items": number},
                "description": "(channels, time), or (batch, channels, time)",
            },
            "sampling_rate": {**number, "description": "In Hz"},
            "channel_names": {"type": "array", "items": {"type": "string"}},
            "unit": {"type": "string", "enum": ["V", "mV", "uV"]},
            "montage": {"type": "string"},
        },
    }
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": {"type": "array", "items": binary}}}
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": array}}
    answers = {
        "413": "The body, or the recording, is too large",
        "415": "A format that is not read",
        "422": "A damaged recording, or one that does not fit the model",
        "503": "Too many requests are waiting",
        "504": "It took too long",
    }
    responses = {status: {"description": text} for status, text in answers.items()}
    return {"requestBody": {"required": True, "content": content}, "responses": responses}


def describe_paths(schema: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    """Return a page with the models, every address, and commands to try."""
    rows = []
    for path, methods in schema["paths"].items():
        for method, about in methods.items():
            text = escape(str(about.get("description", about.get("summary", ""))))
            rows.append(f"<tr><td><code>{method.upper()} {escape(path)}</code></td><td>{text}</td></tr>")
    lines = []
    for model in models:
        contract, labels = model["signal_contract"], ", ".join(model["labels"] or ["a number"])
        channels = ", ".join(contract["channels"] or ["any with a known place"])
        cells = (model["name"], labels, f"{contract['sampling_rate']:g} Hz", channels)
        lines.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(schema["info"]["title"])}</title><style>{_STYLE}</style></head><body>
<h1>{escape(schema["info"]["title"])}</h1><p>{escape(schema["info"]["description"])}</p>
<h2>Models</h2><table><tr><th>Name</th><th>Answers</th><th>Rate</th><th>Channels</th></tr>{"".join(lines)}</table>
<h2>Addresses</h2><table>{"".join(rows)}</table>
<h2>Try</h2><pre>curl -F file=@recording.edf http://localhost:8000/predict
curl -F file=@s01.vhdr -F file=@s01.eeg -F file=@s01.vmrk http://localhost:8000/predict
curl -F file=@table.csv "http://localhost:8000/predict?sampling_rate=250&amp;unit=uV"</pre>
<p>The whole description: <a href="/openapi.json">openapi.json</a></p></body></html>"""
