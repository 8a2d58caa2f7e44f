"""Thumbnails of a whole archive: one story from input to summary, whichever engine does the work."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import PIL
import torch

from thumbnet.bundle import ThumbNet
from thumbnet.config import ArchiveSettings
from thumbnet.data.datasets import NAMED
from thumbnet.devices import available_cores
from thumbnet.errors import StorageError
from thumbnet.progress import Announcer
from thumbnet.thumbnail_codec import chosen_format
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.blocks import Block, Source, chunks_of
from thumbnet.thumbnails.containers import BlockWriter, open_writer
from thumbnet.thumbnails.display import BlockCount, Tally, describe, shown
from thumbnet.thumbnails.local_engine import Chunk, LocalEngine
from thumbnet.thumbnails.manifest import Record, Totals, record_of
from thumbnet.thumbnails.places import is_address, is_pattern
from thumbnet.thumbnails.sources import open_source
from thumbnet.thumbnails.stages import Outcome, Work, work_of


@runtime_checkable
class Engine(Protocol):
    """Who makes thumbnails of chunks: this machine's processes, or Ray Data."""

    def run_blocks(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Outcome], dict[str, float], bool]]:
        """Outcomes in the order of the input, a part of a block at a time; the last value says that it is its last."""
        ...


KEEP_DETAIL = (
    "give --format png or lossless webp, or measure it: thumbnet evaluate RUN --formats jpeg:90; "
    "a student trained with --thumbnail.codec_noise is prepared for it"
)


@dataclass(frozen=True, kw_only=True)
class ArchiveResult:
    """What became of an archive.

    Attributes:
        totals: Over everything in the folder, from this run and those before.
        made: Pictures that this run worked on.
        seconds: How long this run took.
        folder: Where everything is.
    """

    totals: Totals
    made: int
    seconds: float
    folder: ArchiveFolder


def thumbnail_archive(
    bundle: ThumbNet,
    settings: ArchiveSettings,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "cpu",
    announcer: Announcer | None = None,
) -> ArchiveResult:
    """Makes the thumbnail of every picture of an archive.

    Args:
        bundle: Makes the thumbnails.
        settings: Input, output and engine.
        resume: Go on in the output folder where a run was stopped.
        overwrite: Begin again in a folder that holds an archive.
        device: Where the local engine's downscaler runs.
        announcer: Shows progress; by default on standard error.

    Raises:
        DataError: If there is no picture in the input.
        ConfigError: If the output holds something else, or was begun with other settings or another input.
        StorageError: If the disk is full, or the output disappears; what is finished stays, and `resume` goes on.
    """
    announcer = announcer or Announcer()
    folder = ArchiveFolder(Path(settings.output))
    work = work_of(bundle, settings.fit, chosen_format(settings.format, settings.quality))
    source = open_archive(settings)
    with folder.locked():
        folder.begin(made_with(settings, work), resume=resume, overwrite=overwrite)
        announcer.say(f"thumbnails of {source.description} to {folder.root}")
        if bundle.description.hides_detail and not work.stored_as.lossless:
            announcer.warn(f"{work.stored_as} takes away detail that this bundle's student may read; {KEEP_DETAIL}")
        tally = Tally()
        with shown(announcer, tally, BlockCount(source)) as display:
            engine = _engine(settings, work, device)
            _write_blocks(engine, source, folder, settings, work, tally, display.update)
        totals = folder.manifest.totals()
        folder.finish(summary_of(totals, tally, settings, work))
    announcer.say(describe(tally, None))
    return ArchiveResult(totals=totals, made=tally.done + tally.failed, seconds=tally.elapsed, folder=folder)


def open_archive(settings: ArchiveSettings) -> Source:
    """The input of an archive.

    Raises:
        DataError: If there is no picture.
    """
    named = is_address(settings.source) or settings.source.startswith(NAMED)
    return open_source(
        settings.source if named else str(Path(settings.source).absolute()),  # as processes elsewhere know it
        columns=settings.columns,
        block_pictures=settings.block_pictures,
        exclude=Path(settings.output),
    )


def made_with(settings: ArchiveSettings, work: Work) -> dict[str, Any]:
    """Everything that decides the result, but for the input, whose blocks carry stamps of their own."""
    return {
        "downscaler": work.downscaler_hash,
        "container": settings.container,
        "format": str(work.stored_as),
        "fit": settings.fit,
        "block_pictures": settings.block_pictures,
        "columns": asdict(settings.columns),
        "versions": {"torch": torch.__version__, "pillow": PIL.__version__},
    }


def summary_of(totals: Totals, tally: Tally, settings: ArchiveSettings, work: Work) -> dict[str, Any]:
    """The run's numbers for `summary.json`."""
    made = tally.done + tally.failed
    return {
        **asdict(totals),
        "downscaler": work.downscaler_hash,
        "format": str(work.stored_as),
        "run": {
            "engine": settings.engine,
            "pictures": made,
            "seconds": round(tally.elapsed, 3),
            "seconds_to_first": round(tally.to_first, 3),
            "pictures_per_second": round(made / tally.elapsed, 2),
            "stage_seconds": {stage: round(seconds, 3) for stage, seconds in tally.seconds.items()},
        },
    }


def _engine(settings: ArchiveSettings, work: Work, device: str) -> Engine:
    workers = settings.workers or available_cores()
    if settings.engine == "ray":
        from thumbnet.thumbnails.ray_engine import RayEngine

        return RayEngine(
            work=work, workers=workers, picture_seconds=settings.picture_seconds, address=settings.ray_address
        )
    local = LocalEngine(work=work, workers=workers, picture_seconds=settings.picture_seconds, device=device)
    return _InChunks(local)


@dataclass(frozen=True)
class _InChunks:
    """The local engine knows chunks; this keeps account of whose they are."""

    local: LocalEngine

    def run_blocks(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Outcome], dict[str, float], bool]]:
        ahead: deque[tuple[Block, bool]] = deque()

        def chunks() -> Iterator[Chunk]:
            for block in blocks:
                for chunk in chunks_of(block):
                    ahead.append((block, False))
                    yield chunk
                ahead.append((block, True))  # an empty chunk says that the block is whole, also of an empty block
                yield []

        for outcomes, seconds in self.local.run(chunks()):
            block, last = ahead.popleft()
            yield block, outcomes, seconds, last


def _write_blocks(
    engine: Engine,
    source: Source,
    folder: ArchiveFolder,
    settings: ArchiveSettings,
    work: Work,
    tally: Tally,
    update: Callable[[], None],
) -> None:
    """Writes what the engine makes, in order, and records every block once its thumbnails are on the disk."""
    manifest, suffix = folder.manifest, work.stored_as.suffix
    finished = manifest.finished()

    def unfinished() -> Iterator[Block]:
        blocks = 0
        for block in source.blocks():
            blocks += 1
            if block.index in finished:
                manifest.require_same(block)
                tally.blocks += 1
                tally.started_blocks += 1
            else:
                yield block
        manifest.require_no_more(finished, blocks)

    writer: BlockWriter | None = None
    records: list[Record] = []
    for block, outcomes, seconds, last in engine.run_blocks(unfinished()):
        if writer is None:
            writer = open_writer(settings.container, folder.thumbnails, folder.partial, block.index, suffix)
        started = time.perf_counter()
        tally.first = tally.first or time.monotonic()
        with folder.kept():
            for outcome in outcomes:
                records.append(record_of(outcome, None if outcome.content is None else writer.add(outcome)))
                _count(tally, records[-1])
            if last:
                _require_input(settings, records)
                writer.finish()
                folder.require_there()
                manifest.commit(block, records, work.downscaler_hash)
        tally.add_seconds({**seconds, "write": time.perf_counter() - started})
        if last:
            tally.blocks += 1
            writer, records = None, []
        update()


def _require_input(settings: ArchiveSettings, records: list[Record]) -> None:
    """Makes sure that failures are the pictures', and not those of an input that has gone.

    Raises:
        StorageError: If the input, or a folder of it in which a picture was found, is not there any more.
    """
    root = Path(settings.source)
    if is_address(settings.source) or is_pattern(settings.source) or not any(r.status == "failed" for r in records):
        return
    gone = not root.exists() and not settings.source.startswith(NAMED)
    if root.is_dir():
        gone = any(_vanished(root / record.source, record) for record in records if record.status == "failed")
    if gone:
        problem = f"{settings.source}, or a part of it, has disappeared while it was read"
        raise StorageError(f"input: {problem}; bring it back (is its disk still mounted?) and go on with --resume")


def _vanished(place: Path, record: Record) -> bool:
    """Whether a failure is that of a folder which was there; a single file may have been removed by its owner."""
    if "\\" in record.source or place.exists():  # a name that is no UTF-8 is recorded otherwise than it is on the disk
        return False
    return record.reason != "no such file" or not place.parent.is_dir()


def _count(tally: Tally, record: Record) -> None:
    tally.done += record.status == "done"
    tally.failed += record.status == "failed"
    tally.source_bytes += record.source_bytes or 0
    tally.thumbnail_bytes += record.output_bytes or 0
