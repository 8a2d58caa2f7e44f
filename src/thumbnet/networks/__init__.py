"""Teacher, student, downscaler and feature mapping: modules that map tensors to tensors.

Knows nothing of data on disk, losses or training.
"""
