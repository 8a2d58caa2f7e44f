"""Work whose pictures can hang or kill the process that decodes them; a module, so that other processes find it."""

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from thumbnet.data.pictures import PictureFacts
from thumbnet.thumbnail_maker import ThumbnailMaker
from thumbnet.thumbnails.stages import Work


class TroublesomeMaker(ThumbnailMaker):
    """Every picture is its number in grey, but for those that say `hang` or `crash`."""

    def open(self, source: Any) -> Any:
        if source == b"hang":
            time.sleep(600)
        if source == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if source == b"exit":
            os._exit(3)
        facts = PictureFacts(width=1, height=1, orientation=1, colour_profile=None)
        return int(source), facts

    def view(self, picture: Any) -> Any:
        return np.full((32, 32, 3), picture, np.uint8)


@dataclass(frozen=True, kw_only=True)
class TroublesomeWork(Work):
    def maker(self, device: str = "cpu") -> ThumbnailMaker:
        maker = super().maker(device)
        return TroublesomeMaker(maker.downscaler, maker.preprocessing, maker.ratio, maker.fit)
