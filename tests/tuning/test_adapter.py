"""What the adapter leans on in Ray Tune, pinned: a new version that differs must fail here."""

import inspect

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.tune.execution import tune_controller
from ray.tune.schedulers import TrialScheduler
from ray.tune.search.search_algorithm import SearchAlgorithm
from ray.tune.utils.object_cache import _ObjectCache

from raytune_pipe.tuning.adapter import Decider
from raytune_pipe.tuning.planned_trials import PlannedTrials
from raytune_pipe.tuning.ray_errors import FirstError, RayEnded, failure_of, killed_for_memory
from raytune_pipe.tuning.slots import Slots


def test_the_actor_cache_keeps_as_many_idle_workers_as_it_is_asked_to() -> None:
    cache: _ObjectCache = _ObjectCache(may_keep_one=True)
    cache.increase_max("one CPU", by=2)
    assert [cache.cache_object("one CPU", worker) for worker in "abc"] == [True, True, False]
    assert list(cache.flush_cached_objects()) == []
    source = inspect.getsource(tune_controller.TuneController.__init__)
    assert "self._actor_cache = _ObjectCache(" in source


def test_the_scheduler_and_the_search_algorithm_override_what_ray_calls() -> None:
    for ours, rays in ((Decider, TrialScheduler), (PlannedTrials, SearchAlgorithm)):
        for name, method in inspect.getmembers(ours, inspect.isfunction):
            if name.startswith("_") or not hasattr(rays, name):
                continue
            theirs = inspect.signature(getattr(rays, name)).parameters
            assert list(inspect.signature(method).parameters) == list(theirs), name


def test_slots_are_free_until_all_are_taken() -> None:
    slots = Slots(1)
    assert slots.is_free
    slots.hear_of("00000")
    assert not slots.is_free
    slots.free("00000")
    assert slots.is_free
    slots.closed = True
    assert not slots.is_free


def test_a_trial_that_is_not_heard_of_is_silent() -> None:
    slots = Slots(2)
    slots.hear_of("00000")
    assert slots.silent_for(60) == []
    assert slots.silent_for(-1) == ["00000"]


def test_the_first_error_stands_in_for_what_ray_makes_of_it() -> None:
    errors = FirstError()

    def as_ray_does() -> None:
        try:
            with errors.noted():
                raise OSError("no space left")
        except OSError as error:
            raise RuntimeError("a traceback as text") from error

    with pytest.raises(OSError, match="no space left"), errors.told_from_rays():
        as_ray_does()
    with pytest.raises(RayEnded, match="ValueError: not ours"), FirstError().told_from_rays():
        raise ValueError("not ours")


@pytest.mark.parametrize(
    ("error", "memory_was_short", "kind", "reason"),
    [
        ("The actor died because its node has died. Node Id: 7", False, "node_lost", "node"),
        (ActorDiedError(), False, "worker_died", "the worker process died"),
        (ActorDiedError(), True, "out_of_memory", "ran out of memory"),
        (ActorUnavailableError("it restarts", b"0" * 16), False, "node_lost", ""),
        ("ray::TrialActor.train() (pid=7)\nValueError: the actor died", False, "exception", "Val"),
        ("ray::TrialActor.train()\ntorch.OutOfMemoryError: CUDA", False, "out_of_memory", "CUDA"),
        ("", False, "exception", "the worker failed"),
    ],
)
def test_rays_errors_are_told_apart(
    error: Exception | str, memory_was_short: bool, kind: str, reason: str
) -> None:
    failure = failure_of(str(error), memory_was_short=memory_was_short)
    assert failure.kind == kind
    assert reason in failure.reason


def test_the_largest_of_the_workers_killed_for_memory_is_told() -> None:
    # As the memory monitor of ray 2.60 words it, shortened.
    text = (
        "2 worker(s) were killed due to the node running low on memory. [\n"
        "Selected to kill: (Actor(29): task name=A, pid=31405, actual memory used=0.30GB, worker)\n"
        "Selected to kill: (Actor(d0): task name=A, pid=31406, actual memory used=2.82GB, worker)\n"
    )
    assert killed_for_memory(text) == (2.82, 31406)
    assert killed_for_memory("it returned before all trials had ended") is None
