"""The server of `thumbnet serve`: pictures or thumbnails over HTTP, by onnxruntime, without torch."""
