"""What a test says of the world outside, in place of a running server."""

from collections.abc import Sequence

from typing_extensions import override

from tests.records.folder import Content, Server
from xds_server.domain.names import Ref
from xds_server.records.admission import reconsidered
from xds_server.records.models import AppDeployment
from xds_server.records.readiness import Cold, Conditions, Question


class Outside(Conditions):
    """`answers`: by address, empty if it is well. `clusters`: what is cold of a deployment, by its word."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.clusters: dict[str, list[Cold]] = {}

    @override
    def answer(self, question: Question) -> str | None:
        found = [self.answers[each] for each in question.addresses if each in self.answers]
        return "" if "" in found else next(iter(found), None)

    @override
    def cold(self, release: Ref, deployment: AppDeployment) -> Sequence[Cold]:
        return self.clusters.get(deployment.ref.word, ())


class Activating(Server):
    """A folder whose releases wait until what they give is ready."""

    def __init__(self, files: dict[str, Content]) -> None:
        super().__init__(files)
        self.outside = Outside()
        self.attach()

    def attach(self) -> None:
        self.admission = self.admission.asking(self.outside)

    @override
    def restarts(self) -> None:
        super().restarts()
        self.attach()

    def reconsiders(self) -> None:
        """Something may have come of what releases wait for."""
        self._turn(reconsidered(self.admission, [*self.admission.pending], self.now))
