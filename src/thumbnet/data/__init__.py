"""Pictures on disk become batches of images.

Order of reading: `pictures` (one file to one RGB picture), `folders` and `samples` (a data set to labelled paths),
`preprocessing` (a picture to the working size, and the value ranges), `views` (random crops), `batches` (loaders),
`teacher_cache` (arrays on disk). Knows nothing of networks or training.
"""
