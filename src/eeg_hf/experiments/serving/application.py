# SPDX-License-Identifier: Apache-2.0
"""The web application: predictions, health, metrics, and a page that needs no network."""

import asyncio
import contextlib
import json
import math
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException
from transformers.utils import logging

import eeg_hf

from .arguments import ServeArguments
from .metrics import Metrics
from .models import MADE_UP, ServedModel, load_models
from .page import describe_paths, request_bodies
from .readers import Readers
from .reading import RefusedError
from .uploads import check_name, harmless, save, upload_folder

Receive = Callable[[], Any]
logger = logging.get_logger(__name__)
_WARMING_SECONDS = 600.0  # imports of the first reader, on a busy machine
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}


class Server:
    """Models, readers and counters of one application."""

    def __init__(self, args: ServeArguments) -> None:
        self.args = args
        self.models = load_models(args.models, args.device)
        self.metrics = Metrics()
        self.folder = Path()
        self.num_running = 0
        self.is_warm = False
        self.when_warm: Callable[[], None] = lambda: None
        self._readers: Readers | None = None

    @property
    def readers(self) -> Readers:
        """The readers; they exist while the application runs."""
        if self._readers is None:
            raise HTTPException(503, "the server is starting or stopping: try again")
        return self._readers

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Hold the folder of uploads and the readers while the application runs."""
        with upload_folder() as folder:
            self.folder = folder
            self._readers = Readers(self.args.concurrency, self.args.reader_megabytes, self.metrics)
            warming = asyncio.create_task(self.warm_up())  # meanwhile /health says that it is starting
            try:
                yield
            finally:
                warming.cancel()
                await asyncio.gather(warming, return_exceptions=True)
                self._readers.close()
                self._readers = None

    async def warm_up(self) -> None:
        """Let every model answer noise by every reader: the first request would wait for all imports."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            paths = {model: Path(place) / f"{name}.json" for name, model in self.models.items()}
            for model, path in paths.items():
                path.write_text(json.dumps(model.make_up()), encoding="utf-8")
            tries = [self.try_out(*each) for each in paths.items() for _ in self.readers.all]
            await asyncio.gather(*tries)
        self.is_warm = True
        self.when_warm()

    async def try_out(self, model: ServedModel, path: Path) -> None:
        """Read and answer an array as a request would be, with all the time it takes, and uncounted."""
        limits = {"max_seconds": math.inf, "max_channels": math.inf}
        job = {"array": str(path), "extractor": model.extractor, **limits}
        try:
            facts, features = await self.readers.ask(job, _WARMING_SECONDS)
            await model.predict(features, facts["reports"], {}, self.args.batch_size)
        except ValueError as error:
            logger.warning(f"{model.name} does not answer {MADE_UP}: {error}")

    def find(self, name: str | None) -> ServedModel:
        """Return a model by its name; the first one where none is named."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise HTTPException(404, f"no model {name!r}: there are {', '.join(self.models)}")
        return self.models[name]

    async def handle(self, model: ServedModel, request: Request, options: Mapping[str, Any]) -> Any:
        """Answer a request within the limits, and count it."""
        if self.num_running >= self.args.max_waiting + self.args.concurrency:
            self.metrics.requests.labels(model.name, "503").inc()
            raise HTTPException(503, "too many requests are waiting: try again", headers={"Retry-After": "1"})
        start, status = time.monotonic(), 500
        self.num_running += 1
        self.metrics.running.inc()
        try:
            async with asyncio.timeout(self.args.timeout_seconds):
                found = await self.answer(model, request, options)
            status = 200
            return found
        except TimeoutError:
            status = 504
            limit = f"{self.args.timeout_seconds:g} s"
            raise HTTPException(504, f"the answer took longer than {limit}: send less at a time") from None
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self.num_running -= 1
            self.metrics.running.dec()
            self.metrics.requests.labels(model.name, str(status)).inc()
            self.metrics.seconds.labels(model.name).observe(time.monotonic() - start)

    async def answer(
        self, model: ServedModel, request: Request, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Save the body, read its recordings one after another, and predict each."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("multipart/form-data", "application/json"):
            raise HTTPException(
                415, f"expected multipart/form-data with files, or application/json; got {kind or 'no type'}"
            )
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            folder = Path(place)
            if kind == "application/json":
                await self.save_body(request, folder / "array.json")
                jobs = [("", {"array": str(folder / "array.json")})]
            else:
                await self.save_files(request, folder)
                jobs = await self.list_files(folder, options)
            rows = [row for name, job in jobs for row in await self.predict(model, name, job, options)]
        problems = [row for row in rows if "problem" in row]
        if len(problems) == len(rows):
            raise HTTPException(problems[0]["status"], problems[0]["problem"])
        return {"model": model.name, "recordings": rows}

    async def predict(
        self, model: ServedModel, name: str, job: Mapping[str, Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the answers for one file or array; what is wrong with it, if it cannot be read."""
        limits = {"max_seconds": self.args.max_seconds, "max_channels": self.args.max_channels}
        about = {"file": name} if name else {}
        try:
            facts, features = await self.readers.ask(
                {**job, **limits, "extractor": model.extractor}, self.args.timeout_seconds
            )
            how = {key: options[key] for key in ("aggregate", "return_windows")}
            found = await model.predict(features, facts["reports"], how, self.args.batch_size)
        except RefusedError as error:
            return [{**about, "status": error.status, "problem": str(error)}]
        except ValueError as error:  # windows that do not fit the model
            return [{**about, "status": 422, "problem": str(error)}]
        self.metrics.recordings.labels(model.name).inc(len(found))
        self.metrics.windows.labels(model.name).inc(len(features["input_values"]))
        return [{**about, **row} for row in found]

    async def list_files(self, folder: Path, options: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return the recordings among the uploaded files, with the jobs that read them."""
        given = {
            name: options[name] for name in ("sampling_rate", "unit", "montage") if options[name] is not None
        }
        try:
            names = (await self.readers.ask({"list": str(folder)}, self.args.timeout_seconds))[0]["names"]
        except RefusedError as error:
            raise HTTPException(error.status, str(error)) from error
        if not names:
            files = ", ".join(sorted(path.name for path in folder.iterdir()))
            raise HTTPException(422, f"expected a recording, got parts of one: {files}; send all its files")
        return [(name, {"file": str(folder / name), "options": given}) for name in names]

    async def save_body(self, request: Request, path: Path) -> None:
        """Write a body to disk as it comes, up to the limit."""
        self.refuse_announced(request)
        with path.open("xb") as file:
            async for part in Request(request.scope, self.limited(request)).stream():
                file.write(part)

    async def save_files(self, request: Request, folder: Path) -> None:
        """Write the files of a form to disk, up to the limits."""
        self.refuse_announced(request)
        limited = Request(request.scope, self.limited(request))
        most = self.args.max_files
        async with limited.form(max_files=most, max_fields=most, max_part_size=2**16) as form:
            uploads = [value for _, value in form.multi_items() if hasattr(value, "filename")]
            if not uploads:
                raise HTTPException(422, "expected one file or more in the form, got none")
            for upload in uploads:
                try:
                    await save(upload, folder / check_name(upload.filename))
                except RefusedError as error:
                    raise HTTPException(error.status, str(error)) from error
                except FileExistsError:
                    raise HTTPException(422, f"{upload.filename} is there twice in the form") from None

    def refuse_announced(self, request: Request) -> None:
        """Refuse a body by its stated length, before it is sent."""
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.max_bytes:
            raise self.too_large()

    def limited(self, request: Request) -> Receive:
        """Return a `receive` that counts: a length may be missing or a lie."""
        num_bytes = 0

        async def receive() -> Any:
            nonlocal num_bytes
            message = await request.receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise self.too_large()
            return message

        return receive

    @property
    def max_bytes(self) -> int:
        """The largest body of a request."""
        return int(self.args.max_megabytes * 2**20)

    def too_large(self) -> HTTPException:
        """Return the error of a body that is too large."""
        return HTTPException(413, f"the body is larger than {self.args.max_megabytes:g} MB: send a part")


def create_app(args: ServeArguments) -> FastAPI:
    """Return the application that serves models.

    Args:
        args: The models and the limits.
    """
    server = Server(args)
    app = FastAPI(
        title="eeg_hf",
        version=eeg_hf.__version__,
        description="Labels and scores for EEG recordings. A research tool, not a medical device.",
        docs_url=None,  # FastAPI's pages load scripts from other servers
        redoc_url=None,
        lifespan=server.lifespan,
    )
    app.state.server = server
    for kind in (HTTPException, StarletteHTTPException):
        app.add_exception_handler(kind, _show_problem)
    app.add_exception_handler(RequestValidationError, _show_invalid)
    app.add_exception_handler(Exception, _show_unexpected)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    _add_facts(app, server)
    _add_predictions(app, server)
    return app


def _add_facts(app: FastAPI, server: Server) -> None:
    """Add what can be asked without a recording."""

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def show_page() -> str:
        return describe_paths(app.openapi(), [model.describe() for model in server.models.values()])

    @app.get("/health")
    async def show_health() -> dict[str, Any]:
        """Whether every model has answered once, and how busy the server is."""
        if not server.is_warm:
            raise HTTPException(503, "the server is starting: its models have not answered yet")
        return {"status": "ok", "models": list(server.models), "running": server.num_running}

    @app.get("/metrics", response_class=Response)
    async def show_metrics() -> Response:
        """Counters in the text form of Prometheus."""
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/models")
    async def list_models() -> Any:
        """The models, their labels and what they expect of a signal."""
        return _answer([model.describe() for model in server.models.values()])


def _add_predictions(app: FastAPI, server: Server) -> None:
    """Add predictions, of the first model and of each by its name."""

    @app.post("/predict", openapi_extra=request_bodies())
    @app.post("/models/{name}/predict", openapi_extra=request_bodies())
    async def predict(
        request: Request,
        name: str | None = None,
        aggregate: Annotated[
            Literal["mean", "max", "vote"], Query(description="How windows become one answer.")
        ] = "mean",
        windows: Annotated[bool, Query(description="Whether to answer for each window too.")] = True,
        sampling_rate: Annotated[float | None, Query(gt=0, description="Of a table, in Hz.")] = None,
        unit: Annotated[
            Literal["V", "mV", "uV"] | None, Query(description="Of files that state none.")
        ] = None,
        montage: Annotated[
            str | None, Query(max_length=64, description="MNE montage of labels of dense caps.")
        ] = None,
    ) -> Any:
        """Labels with scores for each recording of a form, or for an array."""
        options = {"aggregate": aggregate, "return_windows": windows, "sampling_rate": sampling_rate}
        model = server.find(name)
        return _answer(await server.handle(model, request, {**options, "unit": unit, "montage": montage}))


def _answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(harmless(content), status, dict(headers or {}))


async def _show_problem(request: Request, error: Any) -> JSONResponse:
    return _answer({"error": str(error.detail)}, error.status_code, error.headers)


async def _show_invalid(request: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    return _answer({"error": f"{first['loc'][-1]}: {first['msg']}"}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _show_unexpected(request: Request, error: Exception) -> JSONResponse:
    """Say nothing of a fault of ours but that there is one; the server's log has it."""
    return JSONResponse({"error": "the server failed: its log says why"}, 500, _HEADERS)
