# SPDX-License-Identifier: Apache-2.0
"""Run a submission without eeg_hf, one window at a time as the organisers do.

This file is not part of the submission: eeg-hf make-submission runs it with the folder as the only argument.
"""

import resource
import sys
import time

sys.modules["eeg_hf"] = None  # type: ignore[assignment]  # any import of it fails from here on
sys.path.insert(0, sys.argv[1])

import torch  # noqa: E402
from submission import Submission  # type: ignore[import-not-found]  # noqa: E402

NUM_WINDOWS = 20


def main() -> None:
    """Print size and time of both models; raise if an output is not one finite number."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    submission = Submission(100, device)
    windows = 2e-5 * torch.randn(NUM_WINDOWS, 1, 129, 200, generator=torch.Generator().manual_seed(0))
    for number in (1, 2):
        model = getattr(submission, f"get_model_challenge_{number}")()
        with torch.inference_mode():
            model(windows[0].to(device))  # the first window includes one-time costs
            started = time.perf_counter()
            outputs = torch.cat([model(window.to(device)).cpu() for window in windows])
        milliseconds = 1000 * (time.perf_counter() - started) / NUM_WINDOWS
        if outputs.shape != (NUM_WINDOWS, 1) or not outputs.isfinite().all():
            raise ValueError(
                f"challenge {number}: expected a finite number per window, got {outputs.tolist()}"
            )
        parameters = sum(weight.numel() for weight in model.parameters())
        sys.stdout.write(
            f"challenge {number}: {parameters:,} parameters, {milliseconds:.1f} ms per window on {device}\n"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # in kB on Linux
    if device == "cuda":
        sys.stdout.write(f"memory of the GPU: {torch.cuda.max_memory_allocated() / 1e9:.2f} of 20 GB\n")
    sys.stdout.write(f"memory: {peak:.2f} GB\n")


if __name__ == "__main__":
    main()
