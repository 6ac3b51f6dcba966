"""
Bar charts, as SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

#: Told apart by people who see no colours too: from dark to light.
_COLOURS = ("#1b4965", "#2a9d8f", "#e9a23b", "#d9d3c7", "#9aa5b1", "#c8553d")

_WIDTH, _LEFT, _RIGHT = 720, 220, 60
_BAR, _GAP, _BETWEEN = 15, 3, 16
_TOP, _LEGEND = 34, 22


@dataclass(frozen=True)
class Bar:
    """
    One bar.

    @ivar series: What it is one of.
    @ivar value: How long it is.
    @ivar label: What stands at its end.
    """

    series: str
    value: float
    label: str


@dataclass(frozen=True)
class Group:
    """
    Bars that belong together.

    @ivar title: What stands beside them.
    """

    title: str
    bars: Sequence[Bar]


def _text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    """
    Draw words.
    """
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    """
    Draw a bar.
    """
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.1f}" height="{height:.0f}" fill="{colour}"/>'
    )


def barChart(title: str, groups: Sequence[Group]) -> str:
    """
    Draw groups of horizontal bars, with a legend.

    @return: A whole SVG document.
    """
    series = list(dict.fromkeys(bar.series for group in groups for bar in group.bars))
    colours = dict(zip(series, _COLOURS, strict=False))
    longest = max(bar.value for group in groups for bar in group.bars)
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    parts = [_text(_WIDTH / 2, 20, title, "middle", "bold")]
    y = _TOP
    for group in groups:
        height = len(group.bars) * (_BAR + _GAP)
        parts.append(_text(_LEFT - 10, y + height / 2 + 4, group.title, "end"))
        for bar in group.bars:
            width = bar.value * scale
            parts.append(_rectangle(_LEFT, y, width, _BAR, colours[bar.series]))
            parts.append(_text(_LEFT + width + 5, y + _BAR - 3, bar.label))
            y += _BAR + _GAP
        y += _BETWEEN
    x = float(_LEFT)
    for name in series:
        parts.append(_rectangle(x, y, 12, 12, colours[name]))
        parts.append(_text(x + 17, y + 11, name))
        x += 17 + 7 * len(name) + 16
    height = y + _LEGEND
    lines = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" fill="white"/>\n{lines}\n</svg>\n'
    )
