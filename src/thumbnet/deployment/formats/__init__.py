"""One module a format: from a bundle to the files of an export, opened by the engine that they are for."""
