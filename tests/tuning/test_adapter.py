"""What the adapter leans on in Ray Tune, pinned: a new version that differs must fail here."""

import inspect

import pytest
from ray.tune.execution import tune_controller
from ray.tune.schedulers import TrialScheduler
from ray.tune.search.search_algorithm import SearchAlgorithm
from ray.tune.utils.object_cache import _ObjectCache

from raytune_pipe.tuning.adapter import Decider, FirstError, PlannedTrials, Slots


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
    slots.taken.add("00000")
    assert not slots.is_free


def test_the_first_error_stands_in_for_what_ray_makes_of_it() -> None:
    errors = FirstError()

    def as_ray_does() -> None:
        try:
            with errors.noted():
                raise OSError("no space left")
        except OSError as error:
            raise RuntimeError("a traceback as text") from error

    with pytest.raises(OSError, match="no space left"), errors.raised_in_place_of_rays():
        as_ray_does()
    with pytest.raises(ValueError, match="not ours"), FirstError().raised_in_place_of_rays():
        raise ValueError("not ours")
