"""Settings of `thumbnet thumbnail`: what goes in, what comes out, and who does the work."""

from dataclasses import dataclass
from typing import Literal, get_args

from thumbnet.config.checks import require
from thumbnet.config.data import ColumnSettings

Container = Literal["folder", "webdataset", "parquet"]
Fit = Literal["crop", "short-side"]
Engine = Literal["local", "ray"]
MOST_PICTURES_A_BLOCK = 100_000


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """Thumbnails of a whole archive.

    Attributes:
        source: A folder of pictures with its subfolders, a list file (.txt), WebDataset shards (.tar), parquet, csv,
            `hf/NAME`, or any of these at an fsspec address such as `s3://bucket/photos`.
        output: Folder for the thumbnails, their manifest and the summary.
        container: `folder` mirrors the input, `webdataset` writes .tar shards, `parquet` writes tables.
        format: png, webp, jpeg (colours at half the resolution, as usual) or jpeg444. The student reads a lossless one
            (png; webp without a quality) as it was trained.
        quality: 1 to 100, of jpeg (default 90) and lossy webp.
        fit: `crop` keeps the square that the classifier sees; `short-side` keeps the whole picture.
        engine: `local` is this machine's processes, `ray` a Ray Data pipeline (the extra `thumbnet[ray]`).
        ray_address: A running Ray cluster, such as `auto` or `ray://head:10001`; by default one is started here.
        workers: Processes that read, and downscale where there is no GPU; by default one a core.
        block_pictures: Pictures that are finished and recorded together, and shards' or tables' size; a shard of the
            input stays one block. What a killed run loses is at most the blocks it was in.
        picture_seconds: A picture that takes longer to decode counts as failed.
        columns: Which columns of a table, shard or data set hold what.
    """

    source: str
    output: str
    container: Container = "folder"
    format: str = "png"
    quality: int | None = None
    fit: Fit = "crop"
    engine: Engine = "local"
    ray_address: str | None = None
    workers: int | None = None
    block_pictures: int = 500
    picture_seconds: float = 10.0
    columns: ColumnSettings = ColumnSettings()

    def __post_init__(self) -> None:
        for name, kinds in (("container", Container), ("fit", Fit), ("engine", Engine)):
            allowed = get_args(kinds)
            require(getattr(self, name) in allowed, name, getattr(self, name), f"one of {', '.join(allowed)}")
        whole = isinstance(self.block_pictures, int) and 1 <= self.block_pictures <= MOST_PICTURES_A_BLOCK
        require(whole, "block_pictures", self.block_pictures, f"a whole number from 1 to {MOST_PICTURES_A_BLOCK}")
        require(self.workers is None or self.workers >= 1, "workers", self.workers, "1 or more")
        require(self.picture_seconds > 0, "picture_seconds", self.picture_seconds, "more than 0")
        local = self.ray_address is None or self.engine == "ray"
        require(local, "ray_address", self.ray_address, "left out, or given with --engine ray")
