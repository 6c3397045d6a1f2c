# SPDX-License-Identifier: Apache-2.0
"""Run the web server."""

import signal
import socket
import sys
from functools import partial

from .arguments import ServeArguments


def run(args: ServeArguments) -> None:
    """Serve models until the process is interrupted.

    Raises:
        ValueError: If the port is in use, or the address is not of this machine.
        ImportError: If FastAPI, uvicorn or prometheus-client is not installed.
    """
    try:
        import uvicorn

        from .application import create_app
    except ModuleNotFoundError as error:
        raise ImportError(f'{error.name} is not installed: pip install "eeg-hf[serve]"') from error
    with listen(args.host, args.port) as listening:
        app = create_app(args)
        host, port = listening.getsockname()[:2]
        text = f"serving {', '.join(app.state.server.models)} at http://{host}:{port}\n"
        app.state.server.when_warm = partial(announce, text)
        # uvicorn ends by the signal once more: without this, nothing registered for the exit would run
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
        config = uvicorn.Config(
            app,
            timeout_keep_alive=5,
            h11_max_incomplete_event_size=2**16,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listening])


def announce(text: str) -> None:
    """Print a line at once; programs wait for it."""
    sys.stdout.write(text)
    sys.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, before models are loaded for nothing."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # from now on, clients wait instead of being refused
    except OSError as error:
        raise ValueError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host"
        ) from error
    return listening
