"""The page's bars and courses: changes of errors, shares of loss and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from sweep.numbers import change
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.figures.palette import ROLE_COLOURS, term_styles
from sweep.report.figures.plots_base import (
    Spec,
    as_json,
    as_list,
    axis,
    make_layout,
    plain,
    trial_caption,
    vertical,
)
from sweep.report.names import SPLITS, metric_of

__all__ = ["balance_bars", "change_bars", "share_course", "what_if_bars"]


def change_bars(c: Comparison) -> Spec | None:
    """Errors of the balanced and the best weights relative to the baseline."""
    baseline = c.source.baseline
    if baseline is None:
        return None
    split = (
        "test" if any(f"test.{k}.change" in c.trials for k in metric_keys(c.trials)) else "valid"
    )
    keys = [k for k in metric_keys(c.trials) if f"{split}.{k}.change" in c.trials]
    shown = {
        role: c.source.label(trial)
        for role, trial in c.source.study.references.items()
        if role != "default" and trial.folder != baseline.folder
    }
    if not keys or not shown:
        return None
    titles = [metric_of(key).title for key in keys]
    data: list[Spec] = []
    finite: list[float] = []
    for role, label in shown.items():
        values = [as_json(c.value(label, f"{split}.{key}.change")) for key in keys]
        finite += [value for value in values if value is not None]
        data.append(
            {
                "type": "bar", "orientation": "h", "name": f"{role}: trial {plain(label)}",
                "y": titles, "x": values, "marker": {"color": ROLE_COLOURS[role]},
                "text": ["" if v is None else change(v) for v in values],
                "textposition": "outside", "cliponaxis": False,
                "hovertemplate": "%{y}: %{x:+.1%}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    low, high = min([0.0, *finite]), max([0.0, *finite])
    margin = 0.14 * (high - low or 1.0)
    layout = make_layout(height=100 + (18 * len(shown) + 14) * len(keys))
    layout |= {
        "barmode": "group", "bargap": 0.3, "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": axis(f"error on the {SPLITS[split]} set relative to "
                       f"{plain(c.source.baseline_name)}", tickformat="+.0%",
                       range=[low - margin * (low < 0), high + margin], zerolinecolor="#444",
                       zerolinewidth=1.2),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
    }  # fmt: skip
    return {"data": data, "layout": layout}


def share_course(c: Comparison, label: str) -> Spec | None:
    """Shares of one trial over its training, stacked."""
    rows = c.evolution[c.evolution["trial"] == label]
    if rows.empty:
        return None
    styles = term_styles(c.terms)
    data = []
    for term in dict.fromkeys(rows["term"]):
        style = styles.get(term) or term_styles([*c.terms, term])[term]
        of_term = rows[rows["term"] == term]
        data.append(
            {
                "type": "scatter", "mode": "lines", "stackgroup": "shares", "name": plain(term),
                "x": as_list(of_term["epoch"]), "y": as_list(of_term["share"].fillna(0.0)),
                "line": {"width": 0.5, "color": style.colour},
                "fillcolor": style.colour, "fillpattern": {"shape": style.pattern},
                "hovertemplate": "%{y:.1%}",
            }
        )  # fmt: skip
    layout = make_layout(height=270)
    layout |= {
        "showlegend": False, "hovermode": "x unified",
        "xaxis": axis("epoch"),
        "yaxis": axis("share of the loss", tickformat=".0%", range=[0, 1]),
        "title": {"text": f"trial {trial_caption(c, label)}" if c.source.is_study
                  else trial_caption(c, label), "font": {"size": 13}, "x": 0.02, "xanchor": "left"},
        "shapes": [vertical(x) for x in _stage_starts(rows)],
    }  # fmt: skip
    return {"data": data, "layout": layout}


def balance_bars(c: Comparison) -> Spec | None:
    """Share of the loss and share of the gradients, one pair of bars per chosen trial."""
    if c.gradients.empty:
        return None
    last = c.gradients[
        c.gradients["epoch"] == c.gradients.groupby("trial")["epoch"].transform("max")
    ]
    bars: list[tuple[str, dict[str, float]]] = []
    for label in [label for label in c.chosen if label in set(last["trial"])]:
        balance = c.balance(label)
        rows = last[last["trial"] == label]
        epoch = int(rows["epoch"].iloc[0])
        name = trial_caption(c, label)
        if balance is not None:
            bars.append((f"{name}, loss", balance.shares))
        shares = dict(zip(rows["term"], rows["norm_share"], strict=True))
        bars.append((f"{name}, gradients (epoch {epoch})", shares))
    return _stacked_bars(
        c, bars, "share of the loss in the last epoch; share of the gradient norms"
    )


def what_if_bars(c: Comparison) -> Spec | None:
    """Shares as recorded and under other weights, one pair of bars per chosen trial."""
    bars = []
    for one in c.what_if:
        name = trial_caption(c, one.trial)
        bars += [
            (f"{name}, recorded", one.recorded.shares),
            (f"{name}, what if", one.changed.shares),
        ]
    return _stacked_bars(c, bars, "share of the loss in the last epoch") if bars else None


def _stacked_bars(c: Comparison, bars: Sequence[tuple[str, dict[str, float]]], title: str) -> Spec:
    styles = term_styles(c.terms)
    rows = [name for name, _ in bars]
    data = []
    for term in c.terms:
        values = [as_json(shares.get(term, math.nan)) for _, shares in bars]
        data.append(
            {
                "type": "bar", "orientation": "h", "name": plain(term), "y": rows, "x": values,
                "marker": {"color": styles[term].colour, "line": {"color": "white", "width": 1},
                           "pattern": {"shape": styles[term].pattern}},
                "text": ["" if v is None or v < 0.04 else f"{100 * v:.0f} %" for v in values],
                "textposition": "inside", "insidetextanchor": "middle", "textangle": 0,
                "constraintext": "none",
                "hovertemplate": "%{y}<br>%{fullData.name}: %{x:.1%}<extra></extra>",
            }
        )  # fmt: skip
    layout = make_layout(height=90 + 30 * len(rows))
    layout |= {
        "barmode": "stack", "bargap": 0.25, "showlegend": False,
        "xaxis": axis(title, tickformat=".0%", range=[0, 1]),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _stage_starts(rows: pd.DataFrame) -> list[float]:
    """Where a new stage begins, in epochs."""
    first = rows[rows["term"] == rows["term"].iloc[0]]
    starts = first.groupby("stage")["epoch"].min()
    return [float(x) for x in starts.iloc[1:]]
