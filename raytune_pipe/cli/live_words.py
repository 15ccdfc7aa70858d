"""What a launch says in words: the rows of its live table, and the lines that events are worth."""

from collections.abc import Iterator, Sequence

from raytune_pipe.base import Value
from raytune_pipe.cli.live_state import Best, LiveState
from raytune_pipe.results.events import DecisionRecord, Event


def rows(state: LiveState) -> Iterator[tuple[str, str]]:
    """The rows of the live table, each with its label; none before the plan is made."""
    if not state.planned:  # the launch may still be refused
        return
    counts = ", ".join(f"{count} {status}" for status, count in state.counts.items())
    yield "trials", f"{len(state.planned)}: {counts}"
    if state.began is None:
        return
    left = state.seconds_left
    remaining = f", at most {duration(left)} left" if left else ""
    yield "epochs", f"{epochs_so_far(state)}, {duration(_elapsed(state))} so far{remaining}"
    best = state.best
    if best:
        yield "best", f"{state.metric} {best.value:.4g} ({best.trial_id}, {_at(best)})"
        for name, value in best.values.items():
            if value is not None:
                yield "", f"{name} {shown(value)}"
    for kind, warned in state.warned.items():
        yield "warning", f"{kind} ({len(warned)} of {len(state.status)} trials: {_some(warned)})"


def epochs_so_far(state: LiveState) -> str:
    """The epochs that are trained, and of how many where that is known."""
    planned = sum(state.planned.values())
    return f"{state.trained.total()}" + (f" of {planned:g}" if planned else "")


def line(event: Event, state: LiveState) -> str | None:
    """The line that an event is worth where nothing can be redrawn; None for most reports.

    ``state`` includes the event.
    """
    clock = f"{_elapsed(state):8.1f} s  "
    return "\n".join(f"{clock}{one}" for one in words(event, state)) or None


def words(event: Event, state: LiveState) -> list[str]:
    """What an event is worth in words, a line each; empty for most.

    ``state`` includes the event.
    """
    if event["event"] == "start":
        again = f" again from {event['start_from'] or 'nothing'}" if event["attempt"] else ""
        return [f"{event['trial_id']} started{again}"]
    if event["event"] == "end":
        counted = state.scored.get(event["trial_id"])
        score = f"; {state.metric} {counted.value:.4g}, {_at(counted)}" if counted else ""
        reason = f" ({event['reason']})" if event["reason"] else ""
        return [f"{event['trial_id']} {event['status']}{reason}{score}"]
    if event["event"] == "retry":
        return [f"{event['trial_id']} failed ({event['reason']}): starts again"]
    if event["event"] == "decision":
        return [copied(one) for one in event["decisions"] if one["action"] == "exploit"]
    if event["event"] == "grant":
        at_once = f"up to {event['slots']} trials at once"
        return [f"{at_once}; {event['how']}" if event["how"] else at_once]
    if event["event"] == "anomaly":
        about = f"{event['trial_id']}: " if "trial_id" in event else ""
        return [f"warning: {about}{event['what']}"]
    if event["event"] == "warning":
        return [f"warning: {event['trial_id']}: {event['what']}"]
    if event["event"] == "resume":
        gone_on = [f"{state.name} is gone on with after {state.trained.total()} epochs"]
        if "took_over" in event:
            gone_on.append(f"taken over from {event['took_over']}")
        if "window" in event:
            gone_on.append(event["window"])
        return gone_on
    if event["event"] == "finish":
        return [
            f"{state.name} {event['state']}" + (f": {event['error']}" if event["error"] else "")
        ]
    return []


def copied(decision: DecisionRecord) -> str:
    """An exploit in words: who copies whom, and what changes with it."""
    changes = ", ".join(
        f"{name} {shown(before)} -> {shown(after)}"
        for name, _, before, after in decision["changes"]
    )
    return f"{decision['trial']} copies {decision['donor']}: {changes}"


def duration(seconds: float) -> str:
    """A time as people write it: ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def shown(value: Value) -> str:
    """A hyperparameter's value, floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _some(trials: Sequence[str], most: int = 3) -> str:
    """The first of them."""
    return ", ".join(trials[:most]) + (", ..." if len(trials) > most else "")


def _at(best: Best) -> str:
    return f"epoch {best.epoch:g}"


def _elapsed(state: LiveState) -> float:
    return 0.0 if state.began is None else state.now - state.began
