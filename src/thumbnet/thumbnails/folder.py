"""A folder of pictures becomes a mirrored folder of thumbnails."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from thumbnet.bundle import ThumbNet
from thumbnet.data.pictures import PICTURE_SUFFIXES
from thumbnet.errors import ConfigError, DataError, PictureError
from thumbnet.progress import Announcer
from thumbnet.storage import write_atomically
from thumbnet.thumbnail_codec import ThumbnailFormat, encode

PNG = ThumbnailFormat(name="png")


@dataclass(frozen=True, kw_only=True)
class FolderResult:
    """What became of a folder.

    Attributes:
        written: Number of thumbnails written.
        failures: Path and reason of each picture that could not be read.
        source_bytes: Size of the pictures that were read.
        thumbnail_bytes: Size of their thumbnails.
    """

    written: int
    failures: tuple[tuple[str, str], ...]
    source_bytes: int
    thumbnail_bytes: int


def thumbnail_folder(
    bundle: ThumbNet,
    source: Path,
    output: Path,
    *,
    overwrite: bool,
    announcer: Announcer,
    stored_as: ThumbnailFormat = PNG,
) -> FolderResult:
    """Writes the thumbnail of every picture below `source` to the same place below `output`.

    Args:
        bundle: Makes the thumbnails.
        source: A folder, searched with all its subfolders, or one picture.
        output: The folder to write to.
        overwrite: Go ahead although `output` holds files; thumbnails of the same name are replaced, others stay.
        announcer: Shows progress.
        stored_as: Format of the thumbnails.

    Raises:
        DataError: If there is no picture at `source`.
        ConfigError: If `output` holds files and `overwrite` is not given, it cannot be written to, or a thumbnail would
            replace one of the pictures; or if the bundle makes no pictures.
    """
    bundle.require_pictures()
    pictures = _list_pictures(source, output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())) and not overwrite:
        raise ConfigError(f"output: {output} exists; give --overwrite to write into it, or another folder")
    targets = _targets(pictures, source if source.is_dir() else source.parent, output, stored_as.suffix)
    failures: list[tuple[str, str]] = []
    written = source_bytes = thumbnail_bytes = 0
    for picture, target in announcer.track(targets.items(), len(targets), "thumbnails"):
        try:
            thumbnail = bundle.thumbnail(picture)
        except PictureError as error:
            failures.append((str(picture), str(error)))
            continue
        content = encode(thumbnail, stored_as)
        write_atomically(target, content)
        written += 1
        source_bytes += picture.stat().st_size
        thumbnail_bytes += len(content)
    return FolderResult(
        written=written, failures=tuple(failures), source_bytes=source_bytes, thumbnail_bytes=thumbnail_bytes
    )


def _targets(pictures: list[Path], root: Path, output: Path, suffix: str) -> dict[Path, Path]:
    """Where each picture's thumbnail goes.

    Raises:
        ConfigError: If a thumbnail would replace a picture.
    """
    names = [picture.relative_to(root) for picture in pictures]
    shared = Counter(name.with_suffix("") for name in names)
    # `a.jpg` and `a.png` in one folder keep their endings apart.
    targets = [
        output / (f"{name}{suffix}" if shared[name.with_suffix("")] > 1 else name.with_suffix(suffix)) for name in names
    ]
    if len(set(targets)) < len(targets):
        targets = [output / f"{name}{suffix}" for name in names]
    replaced = {target.resolve() for target in targets} & {picture.resolve() for picture in pictures}
    if replaced:
        raise ConfigError(f"output: a thumbnail would replace the picture {min(replaced)}; choose another folder")
    return dict(zip(pictures, targets, strict=True))


def _list_pictures(source: Path, output: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"pictures: nothing at {source}; give a folder or a picture")
    inside = output.resolve()
    found = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and inside not in path.resolve().parents
    ]
    if not found:
        raise DataError(f"pictures: none in {source} ({', '.join(PICTURE_SUFFIXES)}); give a folder that holds some")
    return found
