"""A run folder becomes one self-contained HTML page. Reads the run folder only."""

from thumbnet.report.page import write_report

__all__ = ["write_report"]
