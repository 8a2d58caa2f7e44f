"""What pictures are called, and where their thumbnails go: hostile names become harmless ones, and no two the same.

Knows texts only, no files. Names within an input may hold any bytes; what is made of them is valid UTF-8 of one line.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from thumbnet.data.pictures import PICTURE_SUFFIXES

PART_BYTES = 200  # a file system takes 255, and the suffix of a format and of a temporary file come on top
PATH_BYTES = 2000  # a system takes 4096 with the output folder before it
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # a fixed set: `str.isprintable` changes with Python
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\/\ufffd]")
_MARKED = re.compile(r"~[0-9a-f]{16}\Z")
_ROOT = re.compile(rb"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")
_ESCAPES = {b"": "_", b"..": "__"}


def raw_bytes(name: str | bytes) -> bytes:
    """A name as the bytes that stood in the file system or archive."""
    if isinstance(name, bytes):
        return name
    try:
        return name.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as Windows has them
        return name.encode(errors="surrogatepass")


def readable(name: str | bytes) -> str:
    r"""A name as one line of valid UTF-8; other bytes and control characters are written as `\xff` and `\n`."""
    text = raw_bytes(name).decode(errors="backslashreplace")
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def safe_target(name: str | bytes) -> str:
    """A path, address or archive member's name as a relative path that leads nowhere but down.

    Different names have different results: where a part has to be changed, its hash is put behind it, and a part that
    already looks like that counts as one to be changed. Only a leading `/` and `..` have a form of their own, `_` and
    `__`.

    Args:
        name: Anything at all; `/` separates folders.

    Returns:
        Parts of at most 200 bytes, none of them empty, `.` or `..`; at most 2000 bytes together.
    """
    raw = raw_bytes(name)
    root = _ROOT.match(raw)
    # `s3://` and `C:` stay one part, so that they are no two names with something between.
    first = [root[0]] if root else []
    *folders, last = raw[root.end() if root else 0 :].split(b"/")
    parts = [_marked(part.decode().rstrip(":/"), part) for part in first]
    parts += [_ESCAPES.get(part) or safe_part(part, folder=True) for part in folders]
    parts.append(safe_part(last))
    target = "/".join(parts)
    return target if len(target.encode()) <= PATH_BYTES else _marked(parts[-1], raw)


def safe_part(name: str | bytes, *, folder: bool = False) -> str:
    """One part of a path, made harmless; see `safe_target`.

    Args:
        name: Anything at all.
        folder: Whether more parts follow. A folder called `a.png` would be in the way of the thumbnail of `a`.
    """
    raw = raw_bytes(name)
    text = raw.decode(errors="replace")
    clean = _UNSAFE.sub("_", text)
    harmless = clean == text and clean not in ("", ".", "..") and not _MARKED.search(clean)
    harmless = harmless and not _ROOT.fullmatch(raw) and len(raw) <= PART_BYTES
    if folder:
        harmless = harmless and clean not in _ESCAPES.values() and not clean.lower().endswith(PICTURE_SUFFIXES)
    return clean if harmless else _marked(clean, raw)


def without_suffixes(names: Sequence[str]) -> list[str]:
    """The names of one folder without their suffixes, which those keep that would be the same as another without it."""
    stems = [name.rpartition(".")[0] for name in names]
    counted, whole = Counter(stems), set(names)
    return [
        name if not stem or counted[stem] > 1 or stem in whole else stem
        for name, stem in zip(names, stems, strict=True)
    ]


def _marked(clean: str, raw: bytes) -> str:
    kept = clean.strip(".").encode()[: PART_BYTES - 20].decode(errors="ignore") or "_"
    return f"{kept}~{hashlib.sha256(raw).hexdigest()[:16]}"
