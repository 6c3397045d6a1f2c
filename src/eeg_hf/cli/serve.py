# SPDX-License-Identifier: Apache-2.0
"""Serve trained models over HTTP: recordings or arrays in, labels with scores out.

    eeg-hf serve runs/classifier
    eeg-hf serve --models arithmetic=eeg-foundation-tiny-arithmetic sleep=runs/sleep --port 8080
    curl -F file=@recording.edf http://localhost:8000/predict

What is sent is read in processes with limits of memory and time, in a folder that goes with the request.
`/` describes the addresses, `/health` and `/metrics` (Prometheus) are for whatever watches the server.
The server has no accounts and no encryption: put a proxy with both before it on any other network.
"""

from ..experiments.serving.arguments import ServeArguments, require_models
from .parsing import Command

COMMAND = main = Command(
    "serve", __doc__, "serving.serving", (ServeArguments,), positional="models", adapt=require_models
)

if __name__ == "__main__":
    main()
