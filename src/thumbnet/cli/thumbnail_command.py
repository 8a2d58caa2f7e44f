"""`thumbnet thumbnail`: an archive made, gone on with, checked, measured or estimated, and what is said of it."""

import dataclasses
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console

from thumbnet.bundle import ThumbNet
from thumbnet.config import ArchiveSettings
from thumbnet.devices import available_cores, choose_device
from thumbnet.errors import ConfigError
from thumbnet.progress import Announcer
from thumbnet.storage import write_json
from thumbnet.thumbnail_codec import chosen_format
from thumbnet.thumbnails.archive import open_archive, thumbnail_archive
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.display import duration
from thumbnet.thumbnails.estimate import estimate
from thumbnet.thumbnails.local_engine import LocalEngine
from thumbnet.thumbnails.measurement import measure_archive
from thumbnet.thumbnails.stages import work_of
from thumbnet.thumbnails.verification import verify_archive

SOME_FAILED = 2
MOST_SHOWN = 10


def thumbnail(flags: Namespace) -> int:
    """`thumbnet thumbnail`."""
    names = {field.name for field in dataclasses.fields(ArchiveSettings)} - {"source", "output"}
    chosen = {name: getattr(flags, name) for name in names}
    settings = ArchiveSettings(source=flags.source, output=flags.output_folder, **chosen)
    asked = [name for name in ("verify", "dry_run", "resume", "overwrite") if getattr(flags, name)]
    if len(asked) > 1:
        both = " and ".join(f"--{name.replace('_', '-')}" for name in asked[:2])
        raise ConfigError(f"{both} are different things to do; give one of them")
    if flags.verify:
        return _verify(settings)
    if flags.measure and settings.fit != "crop":
        raise ConfigError("--measure is for thumbnails as the student takes them; leave --fit short-side out")
    bundle = ThumbNet.load(flags.run, allow_code=flags.allow_code)
    device = str(choose_device(flags.device))
    if flags.dry_run:
        return _estimate(bundle, settings, device)
    return _make(bundle, settings, device, flags)


def _make(bundle: ThumbNet, settings: ArchiveSettings, device: str, flags: Namespace) -> int:
    announcer = Announcer()
    result = thumbnail_archive(
        bundle, settings, resume=flags.resume, overwrite=flags.overwrite, device=device, announcer=announcer
    )
    totals, folder = result.totals, result.folder
    for record in folder.manifest.first_failures(MOST_SHOWN):
        announcer.warn(f"{record.source}: {record.reason}")
    sizes = f"{totals.source_bytes / 1e6:,.1f} MB of pictures became {totals.thumbnail_bytes / 1e6:,.1f} MB"
    rate = f"{result.made / result.seconds:,.0f} pictures/s" if result.made else "nothing was left to do"
    print(f"{totals.done:,} thumbnails in {folder.thumbnails} ({sizes}), {totals.failed:,} failed; {rate}")
    print(f"written: {folder.summary}, {folder.failures}, {folder.manifest.folder}")
    if flags.measure:
        _measure(bundle, folder, announcer)
    return SOME_FAILED if totals.failed else 0


def _measure(bundle: ThumbNet, folder: ArchiveFolder, announcer: Announcer) -> None:
    measured = measure_archive(folder, bundle, announcer)
    if measured is None:
        known = ", ".join(bundle.labels[:3])
        announcer.warn(f"nothing to measure: no thumbnail carries one of the student's labels ({known}, …)")
        return
    write_json(folder.measurement, dataclasses.asdict(measured))
    how = f"{measured.pictures:,} of {measured.labelled:,} thumbnails with a label, as they are stored"
    print(f"student, top-1: {measured.top1:.2%} ({how})")


def _verify(settings: ArchiveSettings) -> int:
    found = verify_archive(ArchiveFolder(Path(settings.output)), Announcer())
    for problem in found.problems:
        print(problem)
    counts = f"{found.missing:,} missing, {found.changed:,} changed, {found.unknown:,} unknown"
    end = "" if found.complete else "; the run that made it did not come to its end: go on with --resume"
    print(f"{found.checked:,} thumbnails checked: {counts}{end}")
    return 0 if found.sound else SOME_FAILED


def _estimate(bundle: ThumbNet, settings: ArchiveSettings, device: str) -> int:
    work = work_of(bundle, settings.fit, chosen_format(settings.format, settings.quality))
    workers = settings.workers or available_cores()
    engine = LocalEngine(work=work, workers=workers, picture_seconds=settings.picture_seconds, device=device)
    console = Console(highlight=False)
    with Announcer().working("sampling pictures"):
        found = estimate(open_archive(settings), engine)
    about = "" if found.counted else "about "
    processes = f"{workers} processes" if workers > 1 else "one process"
    console.print(
        f"pictures: {about}{found.pictures:,} ({found.sampled:,} sampled, {found.failed:,} of them unreadable)"
    )
    console.print(
        f"time: {duration(found.seconds)} at {found.pictures_per_second:,.0f} pictures/s with {processes} here"
    )
    console.print(f"bytes: {found.source_bytes / 1e6:,.1f} MB in, {found.thumbnail_bytes / 1e6:,.1f} MB out")
    return 0
