"""Rows from a population's run: one per trial and perturbation interval (a segment).

Under population-based training a trial's last score is the work of all the trials it descends from,
so whole trials say little about hyperparameters. Over one interval the weights have one owner and
the hyperparameters are fixed: how much the score changed, given where it started, is theirs. A
member that is replaced inside an interval leaves a row of its own, and its copy begins another.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from raytune_pipe.analysis.observations import (
    Array,
    Observations,
    describe_objective,
    is_measured,
    units_of,
)
from raytune_pipe.distributions import Uniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Hyperparameter, SearchSpace

START = "(start score)"
"""Context: the rank of a segment's first score among those of its generation."""
GENERATION = "(generation)"
"""Context: the number of the interval from 1, by the age of the weights."""


def is_population(results: Results) -> bool:
    """Whether trials copied one another, so that a trial's end is not its own doing alone."""
    scheduler = results.experiment.get("scheduler") or {}
    return scheduler.get("kind") in ("pbt", "pb2") and "interval_epochs" in scheduler


class Segments(NamedTuple):
    """One row a segment."""

    table: pd.DataFrame
    """trial_id, report (its last), first_report, generation, epochs, start and hyperparameters."""
    change: Array
    """[rows]: the change per epoch; the worst one seen where the segment ended in a NaN."""
    broken: int
    """How many ended in a NaN."""
    is_logarithmic: bool
    """Whether the change is that of the logarithm, as of scores that are all positive."""


def segments_of(results: Results) -> Segments:
    """The segments of a population's run. The first one of a trial starts at its first report."""
    scores = results.reports["score"].to_numpy(dtype=float, na_value=np.nan)
    scores = np.where(is_measured(scores), scores, np.nan)
    logarithmic = bool((scores[~np.isnan(scores)] > 0).all())
    reports = results.reports.assign(level=np.log(scores) if logarithmic else scores)
    segments = _segments(reports, results)
    change = ((segments["end"] - segments["start"]) / segments["epochs"]).to_numpy(dtype=float)
    broken = segments["end"].isna().to_numpy()
    change = np.where(broken, change[~broken].max(initial=0.0), change)
    return Segments(segments, change, int(broken.sum()), logarithmic)


def segment_observations(results: Results) -> Observations:
    """One row a segment: its hyperparameters, its start, its generation and the change of score.

    The start enters as a rank, so that it does not carry the generation.
    """
    segments, change, broken, logarithmic = segments_of(results)
    context = SearchSpace(
        tuple(Hyperparameter(name, Uniform(low=0.0, high=1.0)) for name in (START, GENERATION))
    )
    return Observations(
        space=SearchSpace((*results.space, *context)),
        units=np.column_stack([units_of(results.space, segments), _context_units(segments)]),
        target=change,
        clusters={
            "trials": pd.factorize(segments["trial_id"])[0].astype(np.int64),
            "generations": segments["generation"].to_numpy(np.int64),
        },
        objective=describe_objective(
            results.objective, f"change per epoch of {'log ' if logarithmic else ''}"
        ),
        context=context.names,
        notes=tuple(_notes(broken, results)),
    )


def _segments(reports: pd.DataFrame, results: Results) -> pd.DataFrame:
    """The last report of each trial in each interval, with where the interval began and ended.

    What a trial reports of other weights after an exploit is apart, also in the same interval. The
    start is where the weights were one report earlier: the trial's own, or its donor's for a copy.
    Ages, not numbers of reports, say which interval it is: a copy may be older or younger.
    """
    interval = int(results.experiment["scheduler"]["interval_epochs"])
    epoch = reports["epoch"].to_numpy(dtype=float)
    generation = np.ceil(epoch / interval).astype(np.int64)
    number = reports["report"].astype("int64")
    reports = reports.assign(report=number, epoch=epoch, generation=generation)
    reports = reports.sort_values(["trial_id", "report"])
    groups = reports.groupby(["trial_id", "segment", "generation"], sort=False)
    ends = groups.tail(1)
    firsts = groups["report"].transform("first")[ends.index]
    starts = _starts(reports, zip(ends["trial_id"], firsts, strict=True), results.lineage)
    segments: pd.DataFrame = ends.assign(
        first_report=firsts,
        start=starts["level"].to_numpy(dtype=float),
        end=ends["level"].to_numpy(dtype=float),
        epochs=ends["epoch"].to_numpy() - starts["epoch"].to_numpy(dtype=float),
    )
    has_change = segments["start"].notna() & (segments["epochs"] > 0)
    used: pd.DataFrame = segments[has_change | segments["end"].isna()]
    return used.sort_values(["generation", "trial_id", "report"])


def _starts(
    reports: pd.DataFrame, firsts: Iterable[tuple[str, int]], lineage: pd.DataFrame
) -> pd.DataFrame:
    """``level`` and ``epoch`` of the weights before each of these first reports of a segment.

    Before a trial's first report nothing was measured, so that report itself has to serve.
    """
    donors = donors_of(lineage)
    origins = [
        donors.get((trial, first - 1), (trial, max(first - 1, 1))) for trial, first in firsts
    ]
    places = reports.set_index(["trial_id", "report"])[["level", "epoch"]]
    return places.reindex(pd.MultiIndex.from_tuples(origins, names=places.index.names))


def donors_of(lineage: pd.DataFrame) -> dict[tuple[str, int], tuple[str, int]]:
    """Whose report the weights come from, by the trial and its last report before the copy."""
    copies = lineage[lineage["donor"].notna()]
    return {
        (row["trial_id"], int(row["report"])): (row["donor"], int(row["donor_report"]))
        for row in copies[["trial_id", "report", "donor", "donor_report"]].to_dict("records")
    }


def _context_units(segments: pd.DataFrame) -> Array:
    """Units of the context ``[rows, 2]``; NaN for the start of a trial whose first score is NaN."""
    generation = segments["generation"]
    by_generation = segments.groupby("generation")["start"]
    rank = (by_generation.rank() - 0.5) / by_generation.transform("count")
    place = (generation - 0.5) / generation.max()
    return np.column_stack([rank.to_numpy(dtype=float), place.to_numpy(dtype=float)])


def _notes(broken: int, results: Results) -> Iterable[str]:
    yield (
        "a population: ranked on the change over each perturbation interval, given its start and "
        "generation; values that the population left early are told by few segments."
    )
    if broken:
        yield f"segments that ended in NaN: {broken}, counted as the worst change seen."
    status = results.trials["status"].astype(str)
    for name in ("failed", "out_of_memory"):
        count = int((status == name).sum())
        if count:
            yield f"{count} {name}: counted up to their last report."
