"""The entries of a tar archive, and every stretch of it that is none.

The standard library reads entries, but ends without a word at a damaged header. Here reading goes on at the next
whole header, and what lies between is told. Nothing is unpacked to disk, and no content is read before it is asked for.
"""

import tarfile
from collections.abc import Iterator
from io import BufferedReader, BytesIO

from thumbnet.thumbnails.naming import readable

BLOCK_BYTES = tarfile.BLOCKSIZE
MAXIMUM_BYTES = 10**9  # of one entry's content
HEADER_BYTES = 2**20  # of a long name or of attributes before an entry; they are read at once
HEADERS = 8  # of one entry
_BEFORE_ENTRIES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_MAGIC = slice(257, 262)


class TarEntries:
    """Reads an archive once from start to end.

    Args:
        file: Open for reading, with `seek`. Stays open.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._end = file.seek(0, 2)
        # Made of an empty archive, because it would look for the first entry by itself.
        self._archive = tarfile.TarFile(fileobj=BytesIO(bytes(2 * BLOCK_BYTES)), errors="surrogateescape")
        self._archive.fileobj = file

    def __iter__(self) -> Iterator[tarfile.TarInfo | str]:
        """Entries in order, and in words what is wrong between them. Raises what the file raises."""
        if self._end == 0:
            yield "the file is empty (0 bytes)"
            return
        position, lost_from, last, ended = 0, -1, "", False
        while position < self._end:
            block = self._block_at(position)
            if not any(block):
                ended = lost_from < 0
                position += BLOCK_BYTES
                continue
            entry = self._entry_at(position, block, searching=lost_from >= 0)
            if entry is None:
                lost_from = position if lost_from < 0 else lost_from
                position += BLOCK_BYTES
                ended = False
                continue
            if lost_from >= 0:
                yield self._lost(lost_from, position, last)
            lost_from, last, ended = -1, readable(entry.name), False
            position = self._archive.offset
            there = self._end - entry.offset_data
            if entry.isreg() and not entry.issparse() and entry.size > there:
                yield f"cut off within {last}, after {max(0, there)} of its {entry.size} bytes"
                return
            yield entry
        if lost_from >= 0:
            yield self._lost(lost_from, self._end, last)
        elif not last:
            yield "it holds no entries, only zeros"
        elif not ended:
            yield f"no end of archive after {last}; it may be cut off there"

    def content(self, entry: tarfile.TarInfo) -> bytes | str:
        """The bytes of a regular file, or in words why there are none."""
        if entry.size > MAXIMUM_BYTES:
            return f"{entry.size} bytes, more than {MAXIMUM_BYTES} for one picture"
        try:
            opened = self._archive.extractfile(entry)
            return opened.read() if opened is not None else "no regular file"
        except tarfile.TarError as error:  # a sparse file whose parts are not there
            return f"cannot be read ({readable(str(error))})"

    def _block_at(self, position: int) -> bytes:
        self._file.seek(position)
        return self._file.read(BLOCK_BYTES)

    def _entry_at(self, position: int, block: bytes, searching: bool) -> tarfile.TarInfo | None:
        # Without the mark it would take hours to search a large shard, and pictures would pass for headers.
        if len(block) < BLOCK_BYTES or (searching and block[_MAGIC] != b"ustar"):
            return None
        try:
            if not self._is_bounded(position, block):
                return None
            self._file.seek(position)
            entry = tarfile.TarInfo.fromtarfile(self._archive)
        except OSError:
            raise
        except Exception:  # hostile headers are answered with almost any exception
            return None
        return entry if entry.size >= 0 and self._archive.offset > position else None

    def _is_bounded(self, position: int, block: bytes) -> bool:
        """Whether a header, with those of long names and attributes before it, is read in little memory and time."""
        for _ in range(HEADERS):
            head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if head.type not in _BEFORE_ENTRIES:
                return head.size >= 0
            if not 0 <= head.size <= HEADER_BYTES:
                return False
            position += BLOCK_BYTES + -(-head.size // BLOCK_BYTES) * BLOCK_BYTES
            block = self._block_at(position)
        return False

    def _lost(self, start: int, end: int, last: str) -> str:
        if start == 0 and end == self._end:
            return "no tar archive, or damaged from its start to its end"
        return f"bytes {start} to {end - 1} hold no entry that can be read" + (f", after {last}" if last else "")
