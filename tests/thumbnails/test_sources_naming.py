"""Hostile names become harmless targets, and different names never the same one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thumbnet.thumbnails.naming import readable, safe_part, safe_target, without_suffixes

PIECES = st.sampled_from(
    [b"..", b".", b"/", b"//", b"", b"a", b"a.png", b"_", b"__", b"\0", b"\n", b"\xff", b"\\", b"C:", b"s3://", b"~"]
)
CLOSE_NAMES = ["a.jpg", "a.png", "a.jpg.png", "a.jpg.png.gif", ".jpg", "b.jpg", "a.b.jpg", "a.b.png", "..jpg"]
NAMES = st.one_of(
    st.binary(max_size=60),
    st.lists(PIECES, max_size=9).map(b"".join),
    st.text(max_size=300).map(str.encode),
    st.binary(min_size=250, max_size=400).map(lambda name: name.replace(b"/", b"x")),
)


@given(NAMES)
@example(b"/etc/passwd")
@example(b"../../x.jpg")
@example(b"a/" * 3000)
def test_a_target_leads_nowhere_but_down(name: bytes) -> None:
    target = safe_target(name)
    parts = target.split("/")
    assert not target.startswith("/")
    assert not {"", ".", ".."} & set(parts)
    assert not set("\0\n\r\\") & set(target)
    assert all(len(part.encode()) <= 200 for part in parts)
    assert len(target.encode()) <= 2000


@given(NAMES, NAMES)
@example(b"/a", b"_/a")
@example(b"../a", b"__/a")
@example(b"a//b", b"a/b")
@example(b"\xff", b"\xfe")
@example(b"s3://a/b", b"s3:/a/b")
def test_different_names_have_different_targets(one: bytes, other: bytes) -> None:
    assert (safe_target(one) == safe_target(other)) == (one == other)


@given(NAMES)
def test_what_looks_like_a_changed_name_is_changed_again(name: bytes) -> None:
    target = safe_target(name)
    if target.encode() != name:
        assert safe_target(target) != target


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cats/001.jpg", "cats/001.jpg"),
        ("Füße/日本.jpg", "Füße/日本.jpg"),
        ("12:30:01 (copy).jpg", "12:30:01 (copy).jpg"),
        ("/data/a.jpg", "_/data/a.jpg"),
        ("../../a.jpg", "__/__/a.jpg"),
    ],
)
def test_ordinary_paths_stay_as_they_are(name: str, target: str) -> None:
    assert safe_target(name) == target


def test_a_scheme_and_a_drive_become_ordinary_folders() -> None:
    assert safe_target("s3://bucket/a.jpg").endswith("/bucket/a.jpg")
    assert ":" not in safe_target("s3://bucket/a.jpg")
    assert ":" not in safe_target(r"C:\Windows\a.jpg")
    assert "\\" not in safe_target(r"C:\Windows\a.jpg")


def test_a_folder_is_never_in_the_way_of_a_thumbnail() -> None:
    # `a` with the suffix of PNG is the file `a.png`; a folder may not have that name as well.
    assert not safe_target("a.png/b.jpg").startswith("a.png/")


def test_names_are_one_line_of_text() -> None:
    assert readable("a\nb\x1b[31m.jpg") == r"a\nb\x1b[31m.jpg"
    assert readable(b"caf\xe9.jpg") == readable("caf\udce9.jpg") == r"caf\xe9.jpg"


@given(st.lists(st.sampled_from(CLOSE_NAMES), unique=True))
def test_suffixes_are_dropped_only_where_names_stay_different(names: list[str]) -> None:
    stems = without_suffixes(names)
    assert len(set(stems)) == len(names)
    assert len({safe_part(stem) for stem in stems}) == len(names)
    assert all(stem in (name, name.rpartition(".")[0]) for stem, name in zip(stems, names, strict=True))


def test_pictures_of_one_stem_keep_their_suffixes() -> None:
    assert without_suffixes(["a.jpg", "a.png", "b.jpg"]) == ["a.jpg", "a.png", "b"]
