"""Inputs in an object store: the same folders, lists, shards and tables at `s3://` addresses."""

import pickle
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.places import open_binary
from thumbnet.thumbnails.sources import open_source

moto_server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")

Put = Callable[[dict[str, bytes]], str]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        yield f"http://{host}:{port}"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def put(endpoint: str) -> Put:
    """Fills a new bucket, and gives its address."""
    store: Any = s3fs.S3FileSystem()
    bucket = f"b{uuid.uuid4().hex}"
    store.mkdir(bucket)

    def fill(files: dict[str, bytes]) -> str:
        for name, content in files.items():
            store.pipe(f"{bucket}/{name}", content)
        return f"s3://{bucket}"

    return fill


def read(address: str) -> list[ArchivePicture | Damage]:
    opened = open_source(address, columns=ColumnSettings(), block_pictures=2, exclude=Path("out"))
    return [found for block in opened.blocks() for found in pickle.loads(pickle.dumps(block)).read()]


def test_a_tree(put: Put) -> None:
    bucket = put({"in/b/2.jpg": b"two", "in/z.png": b"z", "in/b/a/1.jpg": b"1", "in/a/3.webp": b"3", "in/x.txt": b""})
    found = read(f"{bucket}/in")
    assert [one.name for one in found] == ["z.png", "a/3.webp", "b/2.jpg", "b/a/1.jpg"]
    assert found[2] == ArchivePicture(name="b/2.jpg", target="b/2", file=f"{bucket}/in/b/2.jpg", label="b")
    with open_binary(str(found[2].file)) as file:
        assert file.read() == b"two"
    assert read(f"{bucket}/in/") == found


def test_a_whole_bucket_with_marks_of_empty_folders(put: Put) -> None:
    bucket = put({"a/": b"", "a/1.jpg": b"1", "b/": b""})
    assert [one.name for one in read(bucket)] == ["a/1.jpg"]


def test_one_picture_and_a_list(put: Put) -> None:
    bucket = put({"in/1.jpg": b"1", "in/all.txt": b"1.jpg\n../2.jpg\n/data/3.jpg\n"})
    assert read(f"{bucket}/in/1.jpg") == [ArchivePicture(name="1.jpg", target="1", file=f"{bucket}/in/1.jpg")]
    files = [one.file for one in read(f"{bucket}/in/all.txt")]
    assert files == [f"{bucket}/in/1.jpg", f"{bucket}/in/../2.jpg", "/data/3.jpg"]


def test_shards_and_tables(put: Put, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    from row_makers import write_shards

    write_shards(tmp_path / "s", [{"jpg": b"one", "cls": b"0"}, {"jpg": b"two", "cls": b"1"}])
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"one", b"two"]}), tmp_path / "t.parquet")
    shards = {f"s/{path.name}": path.read_bytes() for path in (tmp_path / "s").iterdir()}
    bucket = put(
        {**shards, "s/cut.tar": shards["s/000.tar"][:514], "t/t.parquet": (tmp_path / "t.parquet").read_bytes()}
    )
    for address in (f"{bucket}/s", f"{bucket}/s/*.tar"):
        one, two, damage = read(address)
        assert one == ArchivePicture(name="000.tar/00000.jpg", target="000/00000.jpg", file=b"one", label="0")
        assert two.file == b"two"
        assert damage == Damage(name="cut.tar", reason="cut off within 00000.jpg, after 2 of its 3 bytes")
    for address in (f"{bucket}/t", f"{bucket}/t/t.parquet"):
        assert [(one.name, one.file) for one in read(address)] == [
            ("t.parquet/000000000", b"one"),
            ("t.parquet/000000001", b"two"),
        ]


def test_a_stamp_changes_with_what_is_stored(put: Put) -> None:
    def stamp(address: str) -> str:
        opened = open_source(address, columns=ColumnSettings(), block_pictures=2, exclude=None)
        return next(opened.blocks()).stamp

    address = f"{put({'x.tar': b'a'})}/x.tar"
    before = stamp(address)
    assert stamp(address) == before
    put({"x.tar": b"b"})
    s3fs.S3FileSystem().invalidate_cache()
    assert stamp(address) != before


def test_what_is_not_there_is_refused(put: Put) -> None:
    bucket = put({"x.txt": b""})
    with pytest.raises(DataError, match="nothing at"):
        read(f"{bucket}/none")
    with pytest.raises(DataError, match="none in the pictures below"):
        read(bucket)


def test_an_address_that_nothing_can_open_is_refused() -> None:
    with pytest.raises(DataError, match="cannot look at none://bucket"):
        read("none://bucket")
