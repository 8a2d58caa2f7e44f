"""What happens to one chunk of pictures: read and decode, downscale, encode.

Each stage is a function of plain values, so that both engines run the same ones: the local engine one behind the other
in a process, Ray Data as stages of a pipeline. A picture that cannot be read goes through as a failure with its reason.
"""

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import fsspec
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from safetensors.torch import load

from thumbnet.bundle import ThumbNet
from thumbnet.config import DownscalerSettings, Fit
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import PictureError, StorageError
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.weights import weights_as_bytes
from thumbnet.thumbnail_codec import ThumbnailFormat, encode
from thumbnet.thumbnail_maker import ThumbnailMaker
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.naming import readable

LARGEST_FILE = 1_000_000_000
REMOTE = "://"
_OUT_OF_REACH = (errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENODEV)
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is recorded of a picture that was read.

    Attributes:
        content_hash: SHA-256 of its file.
        source_bytes: Size of its file.
        width: As stored, px.
        height: As stored, px.
        orientation: EXIF's, 1 (upright) to 8; the thumbnail is upright.
        colour_profile: Name of the profile within, if any; the thumbnail is in sRGB.
    """

    content_hash: str
    source_bytes: int
    width: int
    height: int
    orientation: int
    colour_profile: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a picture, or so far; without `facts` and with a `reason` it failed.

    Attributes:
        name: As in `ArchivePicture`.
        target: As in `ArchivePicture`; empty of a part of the input that cannot be read.
        label: Its class by name, if the input says so.
        reason: Why there is no thumbnail.
        facts: Of a picture that was read.
        view: The working view, between the first stage and the second.
        thumbnail: The pixels, between the second stage and the third.
        content: The thumbnail's file.
    """

    name: str
    target: str
    label: str | None = None
    reason: str | None = None
    facts: Facts | None = None
    view: UInt8[np.ndarray, "height width 3"] | None = None
    thumbnail: UInt8[np.ndarray, "height width 3"] | None = None
    content: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that a process needs to make thumbnails, in a form that travels.

    Attributes:
        downscaler: Its kind.
        weights: Its weights, as safetensors.
        preprocessing: The classifier's.
        ratio: Downscale factor per side.
        fit: What part of a picture is kept.
        stored_as: Format of the files.
    """

    downscaler: DownscalerSettings
    weights: bytes = field(repr=False)
    preprocessing: Preprocessing
    ratio: int
    fit: Fit
    stored_as: ThumbnailFormat

    @property
    def downscaler_hash(self) -> str:
        """SHA-256 over everything that decides a thumbnail's pixels, but for the picture."""
        said = (self.downscaler.kind, self.downscaler.channels, self.preprocessing.summary, self.ratio, self.fit)
        return hashlib.sha256(repr(said).encode() + self.weights).hexdigest()

    def maker(self, device: str = "cpu") -> ThumbnailMaker:
        """The downscaler, built."""
        network = build_downscaler(self.downscaler, self.ratio)
        network.load_state_dict(load(self.weights))
        return ThumbnailMaker(network.to(device), self.preprocessing, self.ratio, self.fit)


def work_of(bundle: ThumbNet, fit: Fit, stored_as: ThumbnailFormat) -> Work:
    """What of a bundle makes thumbnails.

    Raises:
        ConfigError: If the bundle makes no pictures.
    """
    bundle.require_pictures()
    description = bundle.description
    return Work(
        downscaler=description.downscaler,
        weights=weights_as_bytes(bundle.downscaler),
        preprocessing=description.preprocessing,
        ratio=description.ratio,
        fit=fit,
        stored_as=stored_as,
    )


def decode_chunk(maker: ThumbnailMaker, chunk: Sequence[ArchivePicture | Damage]) -> list[Outcome]:
    """First stage: files to working views."""
    remote = _fetch([one.file for one in chunk if isinstance(one, ArchivePicture) and _is_remote(one.file)])
    return [
        Outcome(name=one.name, target="", reason=one.reason) if isinstance(one, Damage) else _decode(maker, one, remote)
        for one in chunk
    ]


def downscale_chunk(maker: ThumbnailMaker, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Second stage: working views to thumbnails, those of one size together."""
    made: dict[int, UInt8[np.ndarray, "height width 3"]] = {}
    sizes: dict[tuple[int, ...], list[int]] = {}
    for place, outcome in enumerate(outcomes):
        if outcome.view is not None:
            sizes.setdefault(outcome.view.shape, []).append(place)
    for places in sizes.values():
        views = np.stack([view for place in places if (view := outcomes[place].view) is not None])
        made.update(zip(places, maker.thumbnails(views), strict=True))
    return [replace(outcome, view=None, thumbnail=made.get(place)) for place, outcome in enumerate(outcomes)]


def encode_chunk(stored_as: ThumbnailFormat, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Third stage: thumbnails to the bytes of their files."""
    return [outcome if outcome.thumbnail is None else _encode(stored_as, outcome) for outcome in outcomes]


def process_chunk(
    maker: ThumbnailMaker, stored_as: ThumbnailFormat, chunk: Sequence[ArchivePicture | Damage]
) -> tuple[list[Outcome], dict[str, float]]:
    """All three stages, and the seconds that each took."""
    started = time.perf_counter()
    decoded = decode_chunk(maker, chunk)
    after_decode = time.perf_counter()
    downscaled = downscale_chunk(maker, decoded)
    after_downscale = time.perf_counter()
    encoded = encode_chunk(stored_as, downscaled)
    seconds = {
        "read, decode, resize": after_decode - started,
        "downscale": after_downscale - after_decode,
        "encode": time.perf_counter() - after_downscale,
    }
    return encoded, seconds


def _encode(stored_as: ThumbnailFormat, outcome: Outcome) -> Outcome:
    assert outcome.thumbnail is not None
    try:
        content = encode(Image.fromarray(outcome.thumbnail), stored_as)
    except (ValueError, OSError) as error:  # WebP holds 16,383 pixels a side, and a strip may have more
        height, width, _ = outcome.thumbnail.shape
        reason = f"its thumbnail of {width}×{height} pixels cannot be stored as {stored_as} ({error})"
        return replace(outcome, thumbnail=None, reason=reason)
    return replace(outcome, thumbnail=None, content=content)


def _decode(maker: ThumbnailMaker, picture: ArchivePicture, remote: dict[str, bytes | Exception]) -> Outcome:
    outcome = Outcome(name=picture.name, target=picture.target, label=picture.label)
    try:
        content = _read(picture.file, remote)
        opened, found = maker.open(content)
        view = maker.view(opened)
    except PictureError as error:
        return replace(outcome, reason=str(error))
    except MemoryError:
        return replace(outcome, reason="not enough memory to decode it")
    facts = Facts(
        content_hash=hashlib.sha256(content).hexdigest(),
        source_bytes=len(content),
        width=found.width,
        height=found.height,
        orientation=found.orientation,
        colour_profile=found.colour_profile,
    )
    return replace(outcome, facts=facts, view=view)


def _read(file: bytes | str, remote: dict[str, bytes | Exception]) -> bytes:
    if isinstance(file, bytes):
        return file
    if _is_remote(file):
        answer = remote[file]
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, FileNotFoundError):
            raise PictureError("no such file")
        if isinstance(answer, PermissionError):
            raise PictureError("no permission to read it")
        raise _unreachable(file, answer)
    return _read_local(file)


def _read_local(file: str) -> bytes:
    try:
        # A pipe or device of a picture's name would never end; opened without waiting, it is seen for what it is.
        with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PictureError("a folder or device, not a picture")
            if status.st_size > LARGEST_FILE:
                raise PictureError(f"the file has {status.st_size / 1e9:.1f} GB, more than a picture may have")
            return opened.read()
    except FileNotFoundError as error:
        raise PictureError("no such file") from error
    except PermissionError as error:
        raise PictureError("no permission to read it") from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _OUT_OF_REACH:
            raise _unreachable(file, error) from error
        raise PictureError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _unreachable(file: str, error: Exception) -> StorageError:
    """A store or mount that does not answer says nothing of its pictures: they are for later, and no failures."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return StorageError(f"input: cannot reach {readable(file)} ({reason}); go on with --resume when it answers again")


def _is_remote(file: bytes | str) -> bool:
    return isinstance(file, str) and REMOTE in file


def _fetch(files: Sequence[bytes | str]) -> dict[str, bytes | Exception]:
    """Remote files, all at once where their store can do so."""
    # Asked for several files, fsspec takes `a[1].jpg` for a pattern.
    literal = {str(file) for file in files if _PATTERN.search(str(file))}
    fetched: dict[str, bytes | Exception] = {url: _fetch_alone(url) for url in literal}
    others = [str(file) for file in files if file not in literal]
    for place in {url.partition(REMOTE)[0] for url in others}:
        urls = [url for url in others if url.startswith(f"{place}{REMOTE}")]
        try:
            system, _ = fsspec.core.url_to_fs(urls[0])
            paths = [system._strip_protocol(url) for url in urls]
            answers = system.cat(paths, on_error="return")
        except Exception as error:  # each store has errors of its own
            fetched.update(dict.fromkeys(urls, error))
            continue
        found = answers if isinstance(answers, dict) else {paths[0]: answers}
        missing = FileNotFoundError()
        fetched.update({url: found.get(path, missing) for url, path in zip(urls, paths, strict=True)})
    return fetched


def _fetch_alone(url: str) -> bytes | Exception:
    try:
        system, path = fsspec.core.url_to_fs(url)
        return bytes(system.cat_file(path))
    except Exception as error:  # each store has errors of its own
        return error
