"""Signals in a training: when they are heard, and what they end."""

import os
import pickle
import signal
import threading

import pytest

from recbole_cllm4rec.checkpoint.interrupts import AtOnce, Interrupts, Stopped, sigterm_as_interrupt


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_ends_nothing(number: int) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert interrupts.heard is None
        send(number)
        assert interrupts.heard == number
    assert signal.getsignal(number) is before


def test_who_presses_ctrl_c_twice_will_not_wait() -> None:
    with Interrupts():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_a_sigterm_after_ctrl_c_lets_it_save() -> None:
    """A comparison passes on what the terminal has told both."""
    with Interrupts() as interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            send(number)
        assert interrupts.heard == signal.SIGINT


def test_what_can_be_done_again_is_broken_off() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(AtOnce), interrupts.at_once():
            send(signal.SIGTERM)
        with pytest.raises(AtOnce), interrupts.at_once():
            pytest.fail("it begins though a signal has come")


def test_other_threads_hear_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)

    def enter() -> None:
        with Interrupts(), sigterm_as_interrupt():
            assert signal.getsignal(signal.SIGINT) is before

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()


def test_a_comparison_takes_sigterm_for_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_message_survives_the_way_to_another_process() -> None:
    stop = pickle.loads(pickle.dumps(Stopped(signal.SIGTERM, "saved/shop/1")))
    assert str(stop) == "stopped by SIGTERM, saved in saved/shop/1"
