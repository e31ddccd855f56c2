"""The least that a third party's backend needs: this entry, and a class with six methods."""

from edcore.contract.backend import Availability, BackendInfo


def probe(device):
    return Availability(True)


def load(device):
    from edcore_example.backend import ExampleBackend

    return ExampleBackend()


BACKEND = BackendInfo(
    name="example",
    summary="a third party's backend",
    install="pip install edcore-example",
    priority=0,
    device_types=("cpu",),
    namespaces=(),
    api_version=1,
    probe=probe,
    load=load,
)
