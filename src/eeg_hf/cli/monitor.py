# SPDX-License-Identifier: Apache-2.0
"""Watch what a trained model meets: drift against its training, alarms of a stated rate, a log and a page.

    eeg-hf monitor runs/classifier new_recordings
    eeg-hf monitor runs/classifier "lab/2026-*/*.edf" --output_dir runs/monitor
    eeg-hf monitor runs/classifier new_recordings --fail_on_alarm true --false_alarm_rate 0.001

Spectrum, amplitude, quality, what the model's head reads and what it answers are compared with the recordings
of its training, one recording at a time and the last 50 together. A later call measures what is new in the
folder and appends to log.parquet; monitor.html shows all. --fail_on_alarm ends with exit code 1, for cron.
"""

from ..experiments.monitoring.arguments import MonitorArguments
from ..experiments.prediction.arguments import take_model
from .parsing import Command

COMMAND = main = Command(
    "monitor", __doc__, "monitoring.monitoring", (MonitorArguments,), positional="inputs", adapt=take_model
)

if __name__ == "__main__":
    main()
