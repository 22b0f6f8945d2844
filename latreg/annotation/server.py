"""The page on which people name pictures: served to this machine alone, and nothing of it comes from elsewhere."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from latreg.annotation.answers import Answer, Answers, well_formed
from latreg.annotation.study import Study, image_path
from latreg.errors import LatregError

HOST = "127.0.0.1"
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
MAX_BODY = 2**16  # bytes of a request
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def make_app(study: Study, folder: Path, port: int) -> Starlette:
    """The web application of a study, which answers requests for this machine's own address only."""
    ids = {item.id for item in study.items}
    classes = range(len(study.class_names))

    async def page(request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        return Response(files("latreg.annotation").joinpath(name).read_bytes(), media_type=kind)

    async def picture(request: Request) -> Response:
        id = request.path_params["id"]
        if id not in ids:
            raise HTTPException(404, f"there is no picture {id!r}")
        return FileResponse(image_path(folder, id), media_type="image/png")

    async def begin(request: Request) -> Response:
        """All that the page needs to know of a study for one annotator: nothing of what the pictures show."""
        annotator = request.query_params.get("annotator", "")
        answered = _answers(folder, annotator).read()
        order = study.order(annotator)
        return JSONResponse({"class_names": study.class_names, "order": order, "answered": _of(answered, ids)})

    async def give(request: Request) -> Response:
        content = await _content(request)
        answer = Answer(*(content.get(name) for name in ("item", "named", "plausible", "sure")))  # type: ignore[arg-type]
        if not well_formed(answer) or answer.item not in ids or answer.named not in (None, *classes):
            raise HTTPException(
                400,
                "an answer must name a picture of the study, one of its classes or null, "
                "plausible as true or false, and sure as 1, 2 or 3",
            )
        answers = _answers(folder, str(content.get("annotator", "")))
        answers.give(answer)
        return JSONResponse({"answered": _of(answers.read(), ids)})

    async def undo(request: Request) -> Response:
        content = await _content(request)
        answers = _answers(folder, str(content.get("annotator", "")))
        if content.get("item") not in answers.read():
            raise HTTPException(400, "there is no answer to take back")
        answers.undo(str(content["item"]))
        return JSONResponse({"answered": _of(answers.read(), ids)})

    return Starlette(
        routes=[
            *(Route(path, page) for path in PAGE),
            Route("/images/{id}", picture),
            Route("/study", begin),
            Route("/answer", give, methods=["PUT"]),
            Route("/answer", undo, methods=["DELETE"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_only_from_here(port))],
        exception_handlers={HTTPException: _told, LatregError: _refused},
    )


def _only_from_here(port: int) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Refuse what another page in the browser, or a name that was pointed at this machine, asks for."""
    hosts = {f"{host}:{port}" for host in (HOST, "localhost")}

    async def dispatch(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        origin = request.headers.get("origin")
        if request.headers.get("host") not in hosts:
            return JSONResponse({"error": "the page is served to this machine only"}, 421)
        if origin is not None and origin.removeprefix("http://") not in hosts:
            return JSONResponse({"error": "another page may not ask this"}, 403)
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return JSONResponse({"error": "another page may not ask this"}, 403)
        response = await go_on(request)
        response.headers.update(HEADERS)
        return response

    return dispatch


async def _content(request: Request) -> dict[str, object]:
    """What a request says, as names with values."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise HTTPException(413, "too long")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "expected JSON")
    try:
        content = await request.json()
    except ValueError as error:
        raise HTTPException(400, "expected JSON") from error
    if not isinstance(content, dict):
        raise HTTPException(400, "expected names with values")
    return content


def _answers(folder: Path, annotator: str) -> Answers:
    try:
        return Answers(folder, annotator.strip())
    except LatregError as error:
        raise HTTPException(400, str(error)) from error


def _of(answered: dict[str, Answer], ids: set[str]) -> list[str]:
    """The pictures with an answer, the newest last."""
    return [item for item in answered if item in ids]


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 500)
