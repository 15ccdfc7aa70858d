import os
import signal
import threading

import pytest

from raytune_pipe.tuning.signals import Interrupted, noted_signals


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_first_signal_is_noted_and_a_second_does_not_wait(number: int, exit_code: int) -> None:
    before = signal.getsignal(number)
    with noted_signals() as noted:
        noted.raise_if_any()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as interrupted:
            noted.raise_if_any()
        assert interrupted.value.exit_code == exit_code
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_another_thread_leaves_the_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def launch() -> None:
        with noted_signals() as noted:
            noted.raise_if_any()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=launch)
    thread.start()
    thread.join()
    assert seen == [before]
