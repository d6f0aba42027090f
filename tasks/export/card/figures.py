"""The card's figure: four small charts of a dataset, as a PNG that is the same for the same data."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# matplotlib's annotations leave much open; nothing of it is unknown outside this module.
from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.export.card.counts import Counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, BAR = "#24292f", "#8c959f", "#4c78a8"
COLOURS = {"success": "#4c78a8", "refused": "#e0a63a", "failed": "#c8553d"}
"""The words of a status stand beside its colour."""
MAX_BARS = 8
MIN_PLACES = 4
"""Few bars stay slim."""
MAX_NAME = 24
INCHES, DPI = (10.0, 6.2), 120


def check_installed() -> None:
    """Raises SettingsError without matplotlib: better before the clips are copied than after."""
    if find_spec("matplotlib") is None:
        raise SettingsError("export needs matplotlib.", "Install it: pip install 'reelsweep[export]'.")


def draw(counts: Counts) -> bytes:
    """Outcomes, lengths, frame sizes, clips per prompt."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with mpl.rc_context(mpl.rcParamsDefault):  # nothing of the user's own style
        mpl.rcParams.update({"font.size": 9, "text.parse_math": False})
        figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        outcomes, lengths, sizes, prompts = figure.subplots(2, 2).flat
        _outcomes(outcomes, counts)
        _histogram(lengths, counts.durations, "length of a clip, seconds")
        _bars(sizes, counts.sizes, "frame size, pixels")
        _histogram(
            prompts, [prompt.clips for prompt in counts.prompts.values()], "clips of a prompt", "prompts"
        )
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _outcomes(axes: Axes, counts: Counts) -> None:
    """What became of every row that was asked, by model."""
    makers = sorted(counts.makers.items(), key=lambda each: -each[1].answered)[:MAX_BARS]
    left = [0.0] * len(makers)
    places = range(len(makers))
    for status, colour in COLOURS.items():
        widths = [_number(maker.statuses, status) for _, maker in makers]
        if any(widths):
            axes.barh(places, widths, left=left, color=colour, height=0.6, label=status)
            left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set_yticks(places, [_short(model) for (_, model), _ in makers])
    axes.set_ylim(max(len(makers), MIN_PLACES) - 0.5, -0.5)
    axes.locator_params(axis="x", integer=True)
    if any(left):
        axes.legend(frameon=False, ncols=3, loc="lower right", fontsize=8)
    _finish(axes, "all rows that were asked, by model", "rows")


def _number(statuses: Counter[str], status: str) -> int:
    """Failures of every kind are one bar."""
    failed = ("failed", "invalid_output", "failed_to_download")
    return sum(statuses[each] for each in failed) if status == "failed" else statuses[status]


def _histogram(axes: Axes, values: Sequence[float], title: str, what: str = "clips") -> None:
    distinct = sorted(set(values))
    if len(distinct) <= MAX_BARS:
        _bars(axes, Counter(f"{value:g}" for value in sorted(values)), title, what, keep_order=True)
        return
    axes.hist(values, bins=min(30, len(distinct)), color=BAR, edgecolor="white", linewidth=0.5)
    _finish(axes, title, title)
    axes.set_xlabel("")
    axes.set_ylabel(what, color=QUIET)


def _bars(
    axes: Axes, numbers: Counter[str], title: str, what: str = "clips", *, keep_order: bool = False
) -> None:
    common = list(numbers.items()) if keep_order else numbers.most_common()
    shown = sorted(common, key=lambda each: (-each[1], each[0])) if not keep_order else common
    rest = sum(number for _, number in shown[MAX_BARS:])
    bars = [*shown[:MAX_BARS], *([("other", rest)] if rest else [])]
    places = range(len(bars))
    drawn = axes.bar(places, [number for _, number in bars], color=BAR, width=0.6)
    axes.bar_label(drawn, labels=[f"{number:,}" for _, number in bars], color=QUIET, fontsize=8, padding=2)
    axes.set_xticks(places, [_short(name) for name, _ in bars])
    axes.set_xlim(-0.5, max(len(bars), MIN_PLACES) - 0.5)
    axes.margins(y=0.15)
    axes.set_yticks([])
    _finish(axes, title, "")
    axes.set_ylabel(what, color=QUIET)


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.set_xlabel(label, color=QUIET)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
