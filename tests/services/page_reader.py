"""The page of a comparison, rendered and read."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from sweep.report.comparison.data_files import csv_files
from sweep.report.page.page import render_page


class Tables(HTMLParser):
    """The cells of every table of a page: (text, value to sort by)."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self._cell = [], [], None
        # plotly's five megabytes are no markup, and slow to parse.
        self.feed(re.sub(r"(<script>).{100000,}?(</script>)", r"\1\2", text, flags=re.S))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ["", dict(attrs).get("data-value")]
            self.tables[-1][-1].append(self._cell)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell[0] += data

    def rows(self, *headings):
        """The rows of the table with these headings, by heading."""
        for table in self.tables:
            names = [" ".join(cell[0].split()) for cell in table[0]]
            if set(headings) <= set(names):
                return [dict(zip(names, row, strict=True)) for row in table[1:]]
        raise AssertionError(f"no table with {headings}")


def render(comparisons, **more):
    return render_page(comparisons, csv_files(comparisons), folders={
        c.source.name: "outputs/mine" for c in comparisons}, **more)  # fmt: skip


def payload(text):
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', text, re.S)
    return json.loads(found[1])
