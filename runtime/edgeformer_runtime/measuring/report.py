"""The report of a benchmark, with its ways in and out."""

from __future__ import annotations

from dataclasses import dataclass

from .report_data import ReportData
from .report_reader import read_report
from .report_text import report_table


@dataclass(frozen=True)
class Report(ReportData):
    """A benchmark of one variant; see ``ReportData`` for what it holds."""

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what ``to_json`` wrote, now or in version 1; derived values are computed again. Raises InputError."""
        return read_report(cls, text)

    def table(self) -> str:
        """The report for a terminal."""
        return report_table(self)
