from xds_server.domain.names import Ref
from xds_server.messages.codec import encode
from xds_server.messages.envoy import Metadata, VirtualHost
from xds_server.messages.google import Struct, Value
from xds_server.resources.metadata import metadata, virtual_host_metadata


def built(**said: str) -> Metadata:
    fields = {name: Value(string_value=value) for name, value in said.items()}
    return Metadata(filter_metadata={"xds-server": Struct(fields=fields)})


def test_fields_are_what_the_messages_themselves_encode_to():
    assert metadata({"component": "web", "build": "", "app": "shop"}) == encode(
        built(app="shop", build="", component="web")
    )


def test_a_virtual_host_says_its_release():
    assert virtual_host_metadata(Ref("prod", "shop")) == encode(VirtualHost(metadata=built(release="prod.shop")))
