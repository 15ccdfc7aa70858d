"""The ranking of the hyperparameters, as a terminal shows it."""

import itertools
from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance
from raytune_pipe.analysis.verdicts import Verdict

BAR_WIDTH = 16
"""Characters of a bar that stands for a share of 1."""
EIGHTHS = " ▏▎▍▌▋▊▉█"


def importance_table(importance: Importance) -> RenderableType:
    """The header, the ranking or why there is none, the verdicts and the notes; 80 columns."""
    parts: list[RenderableType] = [_header(importance)]
    if importance.refused:
        parts.append(Text(f"No ranking: {importance.refused}.", style="bold yellow"))
    else:
        parts += [_ranking(importance), *map(Text, _sentences(importance))]
    parts += [Text(f"Note: {note}", style="dim") for note in importance.notes]
    return Group(*parts)


def _header(importance: Importance) -> Text:
    count = f"{importance.trials} usable trials"
    if importance.rows != importance.trials:
        count += f", {importance.rows} segments"
    effective = importance.effective_trials
    if effective is not None and round(effective) < importance.trials:
        count += f", worth about {effective:.0f} finished ones"
    text = Text(f"Importance for {importance.objective}\n", style="bold")
    text.append(count, style="not bold")
    if importance.r2:
        text.append(f"; cross-validated R2 {_estimate(importance.r2)}", style="not bold")
    if importance.seed_noise:
        text.append(f"; seed noise {_estimate(importance.seed_noise)}", style="not bold")
    return text.append(f"\n{importance.method}" if importance.method else "", style="not bold")


def _ranking(importance: Importance) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("hyperparameter", overflow="fold")
    table.add_column("total share", no_wrap=True, min_width=BAR_WIDTH + 5)
    table.add_column("90 %", no_wrap=True)
    table.add_column("alone", no_wrap=True, justify="right")
    table.add_column("90 %", no_wrap=True)
    ranked = {one.name: one for one in importance.ranking}
    for tier in importance.tiers:
        for name in tier:
            table.add_row(*_row(ranked[name], importance.floor))
        table.add_section()
    for one in importance.context:
        table.add_row(*_row(one, importance.floor), style="dim")
    return table


def _row(one: HyperparameterImportance, floor: float) -> tuple[str, str, str, str, str]:
    total = one.total.value
    shown = f"{total:.2f} {_bar(total)}" if total > floor else "nothing seen"
    return one.name, shown, _range(one.total), f"{one.first.value:.2f}", _range(one.first)


def _bar(share: float) -> str:
    full, part = divmod(round(min(max(share, 0.0), 1.0) * BAR_WIDTH * 8), 8)
    return ("█" * full + EIGHTHS[part]).rstrip()


def _range(estimate: Estimate) -> str:
    return f"{estimate.low:.2f}-{estimate.high:.2f}"


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _sentences(importance: Importance) -> Iterator[str]:
    """The tiers; learning rate against batch size, then neighbours; the top pair."""
    if len(importance.tiers) > 1:
        yield "Lines part what the trials can tell apart (P at least 0.95)."
    names = [one.name for one in importance.ranking]
    verdicts = {frozenset((one.higher, one.lower)): one for one in importance.verdicts}
    headline = _headline(names)
    wanted = [headline] if headline else []
    wanted += [pair for pair in itertools.pairwise(names[:3]) if set(pair) != set(headline or ())]
    yield from (_verdict(verdicts[frozenset(pair)]) for pair in wanted)
    for pair in importance.pairs[:1]:
        yield f"strongest interaction: {' with '.join(pair.names)}, {_estimate(pair.share)}"


def _headline(names: list[str]) -> tuple[str, str] | None:
    """The learning rate and the batch size, where both were searched."""
    found = {name.rpartition(".")[2]: name for name in names}
    return (found["lr"], found["batch_size"]) if {"lr", "batch_size"} <= found.keys() else None


def _verdict(verdict: Verdict) -> str:
    """``a > b (P = 0.97)``, or that it is not resolved and what would resolve it."""
    probability = verdict.probability
    shown = f"P = {probability:.2f}" if probability < 0.995 else "P > 0.99"
    if verdict.is_resolved:
        return f"{verdict.higher} > {verdict.lower} ({shown})"
    more = verdict.more_trials
    advice = f"about {more} more trials would tell" if more else "more such trials would not tell"
    return f"{verdict.higher} or {verdict.lower}: not resolved ({shown}); {advice}"
