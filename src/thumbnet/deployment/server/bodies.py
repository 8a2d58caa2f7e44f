"""Bodies of requests to the bytes of pictures, within limits: raw, or as files of a form. Nothing touches the disk."""

from collections.abc import AsyncGenerator
from io import BytesIO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from thumbnet.deployment.server.refusals import Refusal

FORM = "multipart/form-data"


async def pictures_of(request: Request, max_bytes: int, max_pictures: int) -> list[bytes]:
    """The pictures of a request: its files if it is a form, whatever they are called, else its whole body.

    Raises:
        Refusal: If it has too many bytes or pictures, none, or is no form although it says so.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        body = BytesIO()  # gives its bytes away without a copy
        async for part in _limited(request, max_bytes):
            body.write(part)
        if not body.tell():
            raise Refusal(400, "the body is empty; send a picture's bytes, or a form with a file")
        return [body.getvalue()]
    try:
        # One more than allowed is read, so that it can be told from a broken form.
        parser = MultiPartParser(
            request.headers, _limited(request, max_bytes), max_files=max_pictures + 1, max_fields=max_pictures + 8
        )
        parser.spool_max_size = max_bytes + 1  # in memory whatever it is: it is bounded
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Refusal(400, "the form cannot be read; send it as multipart/form-data with a file") from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if len(files) > max_pictures:
        raise Refusal(413, f"more than {max_pictures} pictures; send fewer at a time")
    if not files:
        raise Refusal(400, "the form holds no file; add a picture")
    return [await _whole(file) for file in files]


async def _whole(file: UploadFile) -> bytes:
    content = await file.read()
    await file.close()  # it holds the bytes once more
    return content


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > max_bytes:
            raise _too_large(max_bytes)
        yield part


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"the body has more than {max_bytes:,} bytes; send a smaller picture")
