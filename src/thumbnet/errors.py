"""Errors a user can meet. Each message is one line: what is wrong, where, and what to do next.

Anything that is not a ``ThumbNetError`` is a fault in ThumbNet itself and keeps its traceback.
"""


class ThumbNetError(Exception):
    """Base of every error that the user can do something about; the command line exits with ``exit_code``."""

    exit_code = 2


class ConfigError(ThumbNetError):
    """A setting, flag or recipe key has a value that cannot work."""


class DataError(ThumbNetError):
    """A data set, or one picture in it, cannot be used as it is."""


class PictureError(DataError):
    """One picture cannot be read; the message holds the reason without the picture's name."""


class UnknownPictureError(PictureError):
    """The bytes are of no picture format that is read."""


class LargePictureError(PictureError):
    """The picture has more pixels, or longer sides, than are taken on."""


class NetworkError(ThumbNetError):
    """A teacher or student cannot be built: unknown name, wrong number of classes, thumbnail too small."""


class CheckpointError(ThumbNetError):
    """A run folder, bundle or weights file is missing, damaged or holds something else."""


class TrainingError(ThumbNetError):
    """Training cannot go on, for example because a loss is no longer finite."""


class ExportError(ThumbNetError):
    """A trained bundle cannot be turned into the format that was asked for."""


class StorageError(ThumbNetError):
    """The disk refuses a write (full, read-only, failing): the machine's fault, not the user's."""

    exit_code = 1
