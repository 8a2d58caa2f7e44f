"""Several recipes, or ratios and student options, and several seeds: trained, and compared in one table.

Nothing here trains by itself: `training` does. Numbers come from evaluation.json and predictions.csv of the runs.
"""
