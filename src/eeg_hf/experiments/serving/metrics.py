# SPDX-License-Identifier: Apache-2.0
"""What a server counts, in the form of Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server; names follow https://prometheus.io/docs/practices/naming/."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, open files, CPU time
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "eeg_hf_requests_total",
            "Requests by model and status",
            ["model", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "eeg_hf_request_seconds",
            "Time from the first byte to the answer",
            ["model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.recordings = Counter(
            "eeg_hf_recordings_total", "Recordings answered", ["model"], registry=self.registry
        )
        self.windows = Counter("eeg_hf_windows_total", "Windows answered", ["model"], registry=self.registry)
        self.running = Gauge(
            "eeg_hf_requests_running", "Requests being answered or waiting", registry=self.registry
        )
        self.restarts = Counter(
            "eeg_hf_reader_restarts_total", "Readers started anew", registry=self.registry
        )
