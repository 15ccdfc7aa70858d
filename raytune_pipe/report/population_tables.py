"""What only populations tell: phases, and clones that went on differently."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.clones import CloneEffects
from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.phases import Phase
from raytune_pipe.report.words import CANNOT_TELL, figure, share


def phases_table(phases: Sequence[Phase], names: Sequence[str]) -> RenderableType:
    """Total shares by phase, and which way is better; ``names`` in the order of their rows."""
    table = Table("total share", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for phase in phases:
        first, last = phase.generations
        table.add_column(f"{phase.name} ({first}-{last})", no_wrap=True)
    for name in names:
        table.add_row(name, *(_cell(phase, name) for phase in phases))
    refusals = [Text(f"{one.name}: {CANNOT_TELL}; {one.refused}") for one in phases if one.refused]
    return Group(table, *refusals)


def _cell(phase: Phase, name: str) -> str:
    if phase.total is None:
        return "-"
    direction = _direction((phase.slope or {}).get(name))
    return f"{share(phase.total[name])}{direction}"


def _direction(slope: Estimate | None) -> str:
    """Whether higher values are surely better or worse there."""
    if slope is None or slope.low <= 0 <= slope.high:
        return ""
    return "\nlower is better" if slope.low > 0 else "\nhigher is better"


def clones_table(clones: CloneEffects) -> RenderableType:
    """A line for each hyperparameter, or why there is none."""
    if clones.refused:
        return Text(f"{CANNOT_TELL}: {clones.refused}")
    head = f"what a step up of {clones.step:.0%} of the range adds an epoch ({clones.pairs} pairs)"
    return Group(Text(head), *map(Text, _lines(clones)))


def _lines(clones: CloneEffects) -> Iterator[str]:
    for name, effect in clones.effects.items():
        doubt = f", {CANNOT_TELL} from none" if effect.low <= 0 <= effect.high else ""
        yield f"  {name}: {figure(effect)}{doubt}"
