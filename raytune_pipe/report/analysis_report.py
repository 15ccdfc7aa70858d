"""A whole analysis, as a terminal shows it: the ranking first, then a section for each reading."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from raytune_pipe.analysis.full_analysis import Analysis, OfTrials, Shape
from raytune_pipe.report.ablation_table import ablation_table
from raytune_pipe.report.budgets_table import budgets_table
from raytune_pipe.report.effects_table import effects_table, optimum_table, surface_table
from raytune_pipe.report.failures_table import failures_table
from raytune_pipe.report.folklore_table import folklore_table
from raytune_pipe.report.importance_table import importance_table
from raytune_pipe.report.isolation_table import isolation_table
from raytune_pipe.report.near_best_tables import good_trials_table, local_importance_table
from raytune_pipe.report.population_tables import clones_table, phases_table
from raytune_pipe.report.warnings_table import warnings_table

Section = tuple[str, RenderableType]


def analysis_report(analysis: Analysis, objective: dict[str, str]) -> RenderableType:
    """``objective`` is that of the results: metric, mode and at."""
    parts: list[RenderableType] = [importance_table(analysis.importance)]
    for title, body in _sections(analysis, objective):
        parts += [Text(f"\n{title}", style="bold"), body]
    return Group(*parts)


def _sections(analysis: Analysis, objective: dict[str, str]) -> Iterator[Section]:
    names = [one.name for one in analysis.importance.ranking]
    if analysis.failures:
        yield "What breaks training", failures_table(analysis.failures)
    if analysis.warnings:
        yield "What trials were warned of", warnings_table(analysis.warnings)
    if analysis.shape:
        yield from _shape(analysis.shape, analysis.importance.objective, objective)
    if analysis.budgets:
        yield "What matters when", budgets_table(analysis.budgets, names)
    if analysis.phases:
        yield "What matters when", phases_table(analysis.phases, names)
    if analysis.clones:
        yield "Copies beside their donors", clones_table(analysis.clones)
    if analysis.of_trials:
        yield from _of_trials(analysis.of_trials, objective["metric"])
    if analysis.folklore:
        yield "What practitioners say", folklore_table(analysis.folklore)


def _shape(shape: Shape, target: str, objective: dict[str, str]) -> Iterator[Section]:
    larger_is_better = objective["mode"] == "max"
    metric = "change" if target.startswith("change") else objective["metric"]
    yield "Effects", effects_table(shape.effects, metric, larger_is_better=larger_is_better)
    if shape.surface:
        yield "The strongest pair", surface_table(shape.surface, metric)
    if shape.optimum:
        yield "The best value, and whether it moves", optimum_table(shape.optimum)


def _of_trials(of_trials: OfTrials, metric: str) -> Iterator[Section]:
    for isolation in of_trials.isolations:
        yield f"What {isolation.name} can reach", isolation_table(isolation, metric)
    yield "Among good trials", good_trials_table(of_trials.good)
    if of_trials.local:
        yield "Around the best trial", local_importance_table(of_trials.local)
    if of_trials.ablation:
        yield "From the file's trial to the best", ablation_table(of_trials.ablation, metric)
