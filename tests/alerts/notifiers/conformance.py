"""The authors' kit, for channels that speak to an HTTP peer."""

from tests.alerts.notifiers.http_peer import Peer, faulty

from bartizan.plugins.notifier_testing import Fault, NotifierConformance


class PeerConformance(NotifierConformance):
    """What the channels share. A derived class sets `peer` before each test."""

    peer: Peer
    fault: Fault | None = None

    @property
    def timeout_ms(self) -> int:
        """Short where it is waited for, and long where a slow machine must not matter."""
        return 300 if self.fault is Fault.HANGING else 30_000

    def misbehave(self, fault: Fault) -> None:
        self.fault = fault
        self.peer.handle = faulty(fault, "".join(self.secrets))

    def received(self) -> str:
        return self.peer.everything
