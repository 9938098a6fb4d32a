"""fast_p curves as a drawing: one self-contained SVG, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import count, takewhile
from typing import TYPE_CHECKING

from flashinfer_bench.cli.report.curves import Panel

if TYPE_CHECKING:
    from flashinfer_bench.data import Standing

WIDTH = 920
LEFT, TOP = 64, 56
PLOT_WIDTH, PLOT_HEIGHT = 600, 300
LEGEND_STEP = 20
PANEL_HEIGHT = TOP + PLOT_HEIGHT + 64
SAMPLES = 300
MOST_CURVES = 12
"""Curves in one panel; more cannot be told apart."""
LIGHT = ("0b6bcb", "c2410c", "0f8a5f", "a8327d", "9a6b00", "1a8fb3", "7c4a3a", "6b7280")
DARK = ("5fb0ff", "ff8a4c", "3ecf9a", "f07ac4", "f2c14e", "67d3f0", "d19a86", "a7b0bd")
DASHES = ("none", "7 4", "2 3")
_LONGEST_NAME = 24


def _theme(paper: str, ink: str, soft: str, grid: str, lines: Sequence[str]) -> str:
    curves = "".join(f".c{i}{{stroke:#{color}}}" for i, color in enumerate(lines))
    return (
        f"svg{{background:#{paper}}}.paper{{fill:#{paper}}}text{{fill:#{ink}}}"
        f".soft{{fill:#{soft}}}.grid{{stroke:#{grid}}}.pin{{stroke:#{soft}}}{curves}"
    )


STYLE = (
    "text{font:13px system-ui,sans-serif}.title{font-size:15px;font-weight:600}"
    ".curve{fill:none;stroke-width:2;stroke-linejoin:round}.pin{stroke-dasharray:4 4}"
    f"{_theme('fff', '1f2328', '59636e', 'e3e7eb', LIGHT)}"
    f"@media(prefers-color-scheme:dark){{{_theme('0d1117', 'e6edf3', '9aa4af', '262c34', DARK)}}}"
)


def svg(panels: Sequence[Panel], against: str) -> str:
    """All panels, one above the other."""
    height = PANEL_HEIGHT * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="fast_p curves">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" class="paper"/>',
    ]
    for i, panel in enumerate(panels):
        parts += [f'<g transform="translate({LEFT} {i * PANEL_HEIGHT + TOP})">']
        parts += [*_frame(panel, against), *_curves(panel), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def html(panels: Sequence[Panel], against: str) -> str:
    """A page that holds the drawing."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        '<meta name="color-scheme" content="light dark">\n<title>fast_p</title>\n'
        "<style>body{margin:2rem auto;max-width:920px}svg{max-width:100%;height:auto}</style>\n"
        f"{svg(panels, against)}</html>\n"
    )


def _frame(panel: Panel, against: str) -> Iterator[str]:
    yield f'<text class="title" y="-32">{escape(panel.hardware)}</text>'
    yield (
        f'<text class="soft" y="-13">share of {panel.workloads} workloads at least p times as fast '
        f"as {escape(against)}</text>"
    )
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(share)
        yield f'<path class="grid" d="M0 {y:g}H{PLOT_WIDTH}"/>'
        yield f'<text class="soft" x="-10" y="{y + 4:g}" text-anchor="end">{share:.0%}</text>'
    for p in _ticks(panel.end):
        x = _x(p, panel)
        yield f'<path class="grid" d="M{x:g} {PLOT_HEIGHT}v5"/>'
        yield (
            f'<text class="soft" x="{x:g}" y="{PLOT_HEIGHT + 20}" text-anchor="middle">{p:g}</text>'
        )
    pin = _x(panel.pinned, panel)
    yield f'<path class="pin" d="M{pin:.1f} 0V{PLOT_HEIGHT}"/>'
    middle, below = PLOT_WIDTH // 2, PLOT_HEIGHT + 42
    yield f'<text x="{middle}" y="{below}" text-anchor="middle">p (speedup)</text>'


def _curves(panel: Panel) -> Iterator[str]:
    legend = PLOT_WIDTH + 28
    yield f'<text class="soft" x="{legend}" y="4">fast_p({panel.pinned:g})</text>'
    for i, curve in enumerate(panel.curves[:MOST_CURVES]):
        color, dash = i % len(LIGHT), DASHES[i // len(LIGHT) % len(DASHES)]
        look = f'class="curve c{color}" stroke-dasharray="{dash}"'
        title = f"<title>{escape(curve.name)}</title>"
        y = 26 + i * LEGEND_STEP
        yield f'<path {look} d="{_path(curve, panel)}">{title}</path>'
        yield f'<path {look} d="M{legend} {y - 4:g}h18"/>'
        yield (
            f'<text x="{legend + 26}" y="{y:g}">{title}{curve.fast_p(panel.pinned):.0%} '
            f"{escape(_short(curve.name))}</text>"
        )
    left_out = len(panel.curves) - MOST_CURVES
    if left_out > 0:
        y = 26 + MOST_CURVES * LEGEND_STEP
        yield f'<text class="soft" x="{legend + 26}" y="{y}">and {left_out} more</text>'


def _path(curve: Standing, panel: Panel) -> str:
    """A step at each sample where the share has fallen."""
    samples = [panel.end * i / SAMPLES for i in range(1, SAMPLES + 1)]
    share = curve.fast_p(samples[0])
    steps = [f"M0 {_y(share):.1f}"]
    for p in samples:
        if (now := curve.fast_p(p)) != share:
            steps.append(f"H{_x(p, panel):.1f}V{_y(now):.1f}")
            share = now
    return "".join([*steps, f"H{PLOT_WIDTH}"])


def _ticks(end: float) -> list[float]:
    step = next(step for step in _steps() if end / step <= 8)
    return list(takewhile(lambda p: p <= end, (i * step for i in count())))


def _steps() -> Iterator[float]:
    return (mantissa * 10**power for power in count(-1) for mantissa in (1, 2.5, 5))


def _x(p: float, panel: Panel) -> float:
    return PLOT_WIDTH * p / panel.end


def _y(share: float) -> float:
    return PLOT_HEIGHT * (1 - share)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
