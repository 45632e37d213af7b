import pytest
import typer

from xds_server.cli.values import parse_address, parse_word
from xds_server.domain.addresses import Address


def test_an_address_is_read_and_one_that_was_read_stays() -> None:
    assert parse_address("[::1]:18000") == Address("::1", 18000)
    assert parse_address(Address("a", 1)) == Address("a", 1)


@pytest.mark.parametrize("text", ["18000", "a:", "a:99999", ""])
def test_what_is_no_address_is_said_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is not HOST:PORT, such as 127\.0\.0\.1:18000"):
        parse_address(text)


def test_the_name_of_a_record_is_taken_and_anything_else_is_said_with_an_example() -> None:
    assert [parse_word(each) for each in ("edge", "prod.edge-1")] == ["edge", "prod.edge-1"]
    for wrong in ("Edge", "edge_1", "a.b.c", "", "-a"):
        with pytest.raises(typer.BadParameter, match="is not the name of a record, such as edge"):
            parse_word(wrong)
