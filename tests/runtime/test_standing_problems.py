from prometheus_client import generate_latest

from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.standing_problems import NAMED


def test_problems_are_counted_by_record_and_go_again() -> None:
    metrics = Metrics()
    problem = Problem(Place("a"), Reason.WEIGHTS, "", "", "Release/default/shop")
    warning = Problem(Place("a"), Reason.NOT_IN_FORCE, "", "", severity=Severity.WARNING)

    metrics.problems([problem, warning, warning])
    text = generate_latest(metrics.registry).decode()
    assert 'xds_server_problems{reason="Weights",record="Release/default/shop",severity="error"} 1.0' in text
    assert 'xds_server_problems{reason="NotInForce",record="",severity="warning"} 2.0' in text

    metrics.problems([])
    assert "Weights" not in generate_latest(metrics.registry).decode()


def test_a_storm_of_problems_is_a_bounded_number_of_series() -> None:
    metrics = Metrics()
    metrics.problems(Problem(Place("a"), Reason.WEIGHTS, "", "", f"Release/default/{n:04}") for n in range(NAMED + 7))

    series = [
        line for line in generate_latest(metrics.registry).decode().splitlines() if "xds_server_problems{" in line
    ]
    assert len(series) == NAMED + 1
    assert 'xds_server_problems{reason="Weights",record="other",severity="error"} 7.0' in series
