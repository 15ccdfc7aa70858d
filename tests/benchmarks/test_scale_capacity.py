"""The largest cluster of one driver."""

import pytest

from benchmarks.scale_capacity import Driver


def test_a_report_keeps_the_driver_for_cpu_flushes_and_its_share_of_a_start() -> None:
    driver = Driver(
        report_ms=2.0, slot_ms=0.001, start_ms=6.0, flush_ms=4.0, flushes=1.5, epochs=5.0
    )
    assert driver.occupied_ms(1000) == pytest.approx(2.0 + 1.0 + 6.0 + (6.0 + 4.0) / 5)


def test_the_largest_cluster_keeps_the_driver_for_just_that_share() -> None:
    driver = Driver()
    largest = driver.largest(60.0, load=0.7)
    for at_once, is_fed in ((largest, True), (largest + 1, False)):
        busy_s = at_once / 60.0 * driver.occupied_ms(at_once) / 1000
        assert (busy_s <= 0.7) is is_fed


def test_without_a_cost_per_slot_it_grows_with_the_epoch() -> None:
    driver = Driver(report_ms=10.0, slot_ms=0.0, start_ms=0.0, flush_ms=0.0)
    assert [driver.largest(each, load=0.5) for each in (1.0, 10.0)] == [50, 500]
