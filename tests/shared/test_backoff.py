"""Delays double up to a bound, and no two clients wait the same time."""

from limpet._backoff import Backoff


def test_delays_double_up_to_the_longest_and_start_again_after_a_success() -> None:
    """Each is at most the nominal delay, and at least three quarters of it."""
    backoff = Backoff(0.5, 4.0)
    for _ in range(2):
        for nominal in (0.5, 1.0, 2.0, 4.0, 4.0, 4.0):
            assert 0.75 * nominal <= backoff.next() <= nominal
        backoff.reset()


def test_the_delay_after_an_attempt_is_bounded_for_any_number() -> None:
    """The first attempt that fails has the first delay; the thousandth does not overflow."""
    backoff = Backoff(0.5, 60.0)
    for attempt, nominal in ((1, 0.5), (2, 1.0), (7, 32.0), (8, 60.0), (100_000, 60.0)):
        assert 0.75 * nominal <= backoff.after(attempt) <= nominal


def test_clients_that_fail_together_do_not_retry_together() -> None:
    """A restarted server is not met by all of them at once."""
    assert len({Backoff(1.0, 60.0).next() for _ in range(100)}) > 90
