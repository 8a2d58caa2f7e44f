"""`--dry-run`: how long an archive would take and how large it would be, from a sample, with nothing written."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from thumbnet.thumbnails.blocks import CHUNK_PICTURES, ArchivePicture, Block, Damage, Source
from thumbnet.thumbnails.display import Tally
from thumbnet.thumbnails.local_engine import LocalEngine

SAMPLED_BLOCKS = 8
SAMPLED_PICTURES = 512


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run would take.

    Attributes:
        pictures: How many there are; counted, or estimated from the sampled shards.
        counted: Whether they were counted.
        sampled: On how many the rest rests.
        failed: How many of these cannot be read.
        pictures_per_second: Rate with the given processes once they have started; without writing.
        seconds: Time for all.
        source_bytes: Size of all pictures.
        thumbnail_bytes: Size of all thumbnails.
    """

    pictures: int
    counted: bool
    sampled: int
    failed: int
    pictures_per_second: float
    seconds: float
    source_bytes: int
    thumbnail_bytes: int


def estimate(source: Source, engine: LocalEngine) -> Estimate:
    """Samples blocks from all over an input and makes their thumbnails in memory.

    Raises:
        DataError: If there is no picture in the input.
    """
    blocks, pictures, counted = _sample_blocks(source)
    sample = _sample_pictures(blocks)
    tally = _make(engine, sample)
    made = max(1, tally.done + tally.failed)
    rate = made / tally.elapsed
    done = max(1, tally.done)
    return Estimate(
        pictures=pictures,
        counted=counted,
        sampled=made,
        failed=tally.failed,
        pictures_per_second=rate,
        seconds=pictures / rate,
        source_bytes=round(tally.source_bytes / done * pictures),
        thumbnail_bytes=round(tally.thumbnail_bytes / done * pictures),
    )


def _make(engine: LocalEngine, sample: list[ArchivePicture | Damage]) -> Tally:
    """The tally of a sample, once every process is at work: its first pictures are done twice."""
    warm = sample[: CHUNK_PICTURES * engine.workers]
    uncounted = len(warm)
    tally = Tally()
    for outcomes, _ in engine.run(chain(_chunks(warm), _chunks(sample))):
        if uncounted > 0:
            uncounted -= len(outcomes)
            tally = Tally()
            continue
        for outcome in outcomes:
            tally.done += outcome.content is not None
            tally.failed += outcome.content is None
            tally.source_bytes += outcome.facts.source_bytes if outcome.facts else 0
            tally.thumbnail_bytes += len(outcome.content or b"")
    return tally


def _chunks(pictures: list[ArchivePicture | Damage]) -> Iterator[list[ArchivePicture | Damage]]:
    for start in range(0, len(pictures), CHUNK_PICTURES):
        yield pictures[start : start + CHUNK_PICTURES]


def _sample_blocks(source: Source) -> tuple[list[Block], int, bool]:
    """Blocks from all over the input, each as likely as any other, and how many pictures there are in all."""
    draw = random.Random(0)
    kept: list[Block] = []
    pictures = unknown = 0
    for seen, block in enumerate(source.blocks(), start=1):
        if block.pictures is None:
            unknown += 1
        else:
            pictures += block.pictures
        if len(kept) < SAMPLED_BLOCKS:
            kept.append(block)
        elif (place := draw.randrange(seen)) < SAMPLED_BLOCKS:
            kept[place] = block
    if unknown:
        counted = [sum(1 for _ in block.read()) for block in kept if block.pictures is None][:SAMPLED_BLOCKS]
        pictures += round(unknown * sum(counted) / max(1, len(counted)))
    return kept, pictures, not unknown or unknown <= SAMPLED_BLOCKS


def _sample_pictures(blocks: list[Block]) -> list[ArchivePicture | Damage]:
    each = SAMPLED_PICTURES // max(1, len(blocks))
    return [picture for block in blocks for picture in _first(block, each)]


def _first(block: Block, count: int) -> Iterator[ArchivePicture | Damage]:
    return islice(block.read(), count)
