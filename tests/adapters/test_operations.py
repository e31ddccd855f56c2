"""The order of calls that several threads and streams give to a device."""

import threading

from edcore.adapters.operations import StreamOrder


def test_a_call_follows_the_stream_of_the_call_before():
    waited = []
    streams = iter(["a", "a", "b", "b", "a"])
    order = StreamOrder(lambda: next(streams), lambda stream, before: waited.append((stream, before)))
    for expected in ([], [], [("b", "a")], [("b", "a")], [("b", "a"), ("a", "b")]):
        with order():
            assert waited == expected


def test_a_call_of_another_thread_begins_when_the_one_before_has_ended():
    happened, begun = [], threading.Event()
    order = StreamOrder(threading.get_ident, lambda stream, before: happened.append("waited"))

    def call():
        begun.set()
        with order():
            happened.append("second")

    with order():
        thread = threading.Thread(target=call)
        thread.start()
        assert begun.wait(10)
        thread.join(0.1)  # time enough to come in, if it could
        with order():  # as an array of the user may call the backend when it is read
            happened.append("first")
    thread.join()
    assert happened == ["first", "waited", "second"]
