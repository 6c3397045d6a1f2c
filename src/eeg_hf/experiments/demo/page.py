# SPDX-License-Identifier: Apache-2.0
"""The page: drop a recording, see what the model answers and why. It loads nothing from the network."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr

from ...corpora.recordings.recording_files import EXTENSIONS, TABLE_EXTENSIONS
from .analysis import Analyst
from .example import write_example

_TITLE = "EEG: what does the model say, and why?"
_NOTE = "A research model, not a medical device. Recordings are read under limits and deleted afterwards."
_METHODS = {
    "Integrated gradients": "integrated_gradients",
    "Pairs of electrodes (exact)": "pairs",
    "Occlusion": "occlusion",
    "Attention": "rollout",
    "None": "none",
}
_SECONDS_KEPT = 900
_CSS = """
.gradio-container {max-width: 1180px !important; margin: 0 auto}
#status {min-height: 1.6rem}
#status p {margin: 0}
.plot-image img, .image-frame img {max-width: 100%}
@media (max-width: 640px) {.gradio-container .fillable.app, .gradio-container main {padding: 8px !important}}
.gradio-container, .gradio-container .fillable, .gradio-container main {min-width: 0 !important; width: 100%}
"""


def look() -> dict[str, Any]:
    """Return theme and style for `launch`: fonts of the system, none of the network."""
    fonts: Any = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return {"theme": gr.themes.Base(primary_hue="indigo", **fonts), "css": _CSS}


def build_page(analyst: Analyst, folder: Path, name: str) -> gr.Blocks:
    """Return the page.

    Args:
        analyst: Reads and classifies.
        folder: Where the example lies.
        name: Of the model, as it is shown.
    """
    example = write_example(folder)

    def analyse(path: str | None, unit: str, rate: float | None, method: str) -> list[Any]:
        if not path:
            return ["Choose a recording first.", *_empty()]
        try:
            found = analyst.analyse(Path(path), unit or None, rate, _METHODS[method])
        except ValueError as error:
            return [f"**Cannot be answered.** {_plain(str(error))}", *_empty()]
        header, *rows = found.table
        return [
            f"**Done.** {_plain(Path(path).name)}",
            gr.Label(found.scores, visible=found.scores is not None),
            found.summary,
            found.traces,
            found.power,
            found.windows,
            gr.Dataframe(rows, headers=header),
            found.explanation,
            found.embeddings,
        ]

    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(60, _SECONDS_KEPT)) as page:
        gr.Markdown(f"# {_TITLE}\nModel: `{name}`. {_NOTE}")
        with gr.Row():
            with gr.Column(scale=1, min_width=200):
                kinds = [*EXTENSIONS, *TABLE_EXTENSIONS]
                upload = gr.File(
                    label="Recording of one file", file_types=kinds, type="filepath", elem_id="upload"
                )
                method = gr.Dropdown([*_METHODS], value="Integrated gradients", label="Explanation")
                with gr.Accordion("Of a table, or a file without a unit", open=False):
                    unit = gr.Dropdown(["", "uV", "mV", "V"], value="", label="Unit")
                    rate = gr.Number(None, label="Sampling rate of a table in Hz")
                start = gr.Button("Analyse", variant="primary", elem_id="start")
                show = gr.Button("Try the simulated example", elem_id="example")
            with gr.Column(scale=2, min_width=200):
                status = gr.Markdown("Choose a recording, or try the example.", elem_id="status")
                scores = gr.Label(label="Answer", elem_id="scores")
                summary = gr.Markdown()
        with gr.Tabs():
            with gr.Tab("Recording"):
                traces = gr.Plot(label="In time", show_label=False)
                power = gr.Plot(label="Power on the head", show_label=False)
            with gr.Tab("Windows"):
                curve = gr.Plot(label="Scores of each window", show_label=False)
                table = gr.Dataframe(label="Scores of each window", interactive=False)
            with gr.Tab("Why"):
                gr.Markdown("Red speaks for the answer, blue against it.")
                why = gr.Plot(label="Attributions", show_label=False)
            with gr.Tab("Embedding"):
                gr.Markdown("Windows by the two directions in which their embeddings differ most.")
                embeddings = gr.Plot(label="Embeddings", show_label=False)
        outputs = [status, scores, summary, traces, power, curve, table, why, embeddings]
        inputs = [upload, unit, rate, method]
        start.click(analyse, inputs, outputs, api_name="analyse", concurrency_limit=1)
        show.click(
            lambda: (str(example), "", None), None, [upload, unit, rate], api_visibility="private"
        ).then(analyse, inputs, outputs, api_visibility="private", concurrency_limit=1)
    return page


def _empty() -> list[Any]:
    return [gr.Label(None), "", None, None, None, None, None, None]


def _plain(text: str) -> str:
    """Return text without meaning in Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()#+!|<>~" else sign for sign in text)
