# SPDX-License-Identifier: Apache-2.0
"""Run a trained classifier on a stream: samples in from LSL, BrainFlow or a file, answers out as they come.

    eeg-hf stream runs/classifier --source lsl:EEG --hop_seconds 0.5
    eeg-hf stream runs/classifier --source lsl:EEG --calibrate 30 --sinks - answers.csv lsl:Scores ws://:8765
    eeg-hf stream runs/classifier --source brainflow:synthetic
    eeg-hf stream runs/classifier --source recording.edf --speed max --sinks answers.csv

Filters know the past only; docs/streaming.md states how far windows are from those of a whole recording, and
the delay. --phase linear waits for the filters and gives the same windows. --calibrate looks at the first
seconds, as contracts with notch_hz: auto, adaptive: true, an alignment or second-order tokens need.

Every answer says how good its window is: quality, bad channels, restarts after gaps, whether the filters have
settled. A window without a live channel has a problem and no label. A source that stops is waited for. The
end (Ctrl-C too) prints a summary: windows, gaps, samples lost and dropped, latency.
"""

from ..experiments.streaming.arguments import StreamArguments, take_model
from .parsing import Command

COMMAND = main = Command(
    "stream", __doc__, "streaming.running", (StreamArguments,), positional="words", adapt=take_model
)

if __name__ == "__main__":
    main()
