from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.sidecars import PORTS, Ports, Sidecar

BUILD = BuildId(Ref("prod", "shop"), "web", "9f1c2d7e")


def test_a_sidecar_is_called_as_its_build_is():
    assert Sidecar(BUILD).word == "prod.shop/web@9f1c2d7e"


def test_who_listens_elsewhere_is_told_something_else():
    assert Sidecar(BUILD) == Sidecar(BUILD, PORTS)
    assert len({Sidecar(BUILD), Sidecar(BUILD, Ports(outbound=1)), Sidecar(BUILD, Ports(application=8080))}) == 3
