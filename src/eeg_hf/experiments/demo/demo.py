# SPDX-License-Identifier: Apache-2.0
"""Show the page, or write it as a Space."""

import os
import signal
import sys
from pathlib import Path

from ..serving.serving import listen
from ..serving.uploads import upload_folder
from .arguments import DemoArguments


def run(args: DemoArguments) -> None:
    """Show the page until the process is interrupted, or write a Space.

    Raises:
        ValueError: If the port is in use.
        ImportError: If gradio is not installed.
    """
    with upload_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")  # which goes at the end
        try:
            from .page import build_page, look
        except ModuleNotFoundError as error:
            raise ImportError(f'{error.name} is not installed: pip install "eeg-hf[demo]"') from error
        if args.space:
            from .space import write_space

            write_space(Path(args.space), args.model)
            sys.stdout.write(f"a Space: hf upload USER/SPACE {args.space} . --repo-type space\n")
            return
        from .analysis import Analyst

        with listen(args.host, args.port) as listening:  # gradio itself would silently take another port
            port = listening.getsockname()[1]
        analyst = Analyst(args.model, args.device, args.max_seconds, args.timeout_seconds)
        page = build_page(analyst, folder, Path(args.model).name)
        try:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # so that files are removed
            page.launch(
                server_name=args.host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=int(args.max_megabytes * 2**20),
                footer_links=[],
                ssr_mode=False,
                enable_monitoring=False,
                **look(),
            )
            sys.stdout.write(f"the page: http://{args.host}:{port}\n")
            sys.stdout.flush()
            page.block_thread()
        finally:
            page.close()
            analyst.reader.close()
