import base64

import pytest

from xds_server.notifications.signing import NoSecret, keys_in, signed

PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = f"whsec_{base64.b64encode(bytes(32)).decode()}"


def test_a_signature_is_what_the_published_example_says() -> None:
    """The vector that libraries of Standard Webhooks are tested with."""
    made = signed(keys_in(PUBLISHED), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_key_signs_the_newest_first() -> None:
    def signature(text: str) -> str:
        return signed(keys_in(text), "1", 1, b"x")["webhook-signature"]

    both = signature(f"# since May\n{OTHER}\n\n  {PUBLISHED}  \n")
    assert both == f"{signature(OTHER)} {signature(PUBLISHED)}"
    assert signature(OTHER) != signature(PUBLISHED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "has no key", id="empty"),
        pytest.param("# later\n", "has no key", id="a-comment"),
        pytest.param("hunter2", "line 1 does not begin with whsec_", id="no-prefix"),
        pytest.param(f"{OTHER}\nwhsec_!!", "line 2 is not whsec_ and base64", id="no-base64"),
        pytest.param("whsec_aHVudGVyMg==", "line 1 is a key of 7 bytes, not of 24 to 64", id="short"),
        pytest.param(f"whsec_{base64.b64encode(bytes(65)).decode()}", "a key of 65 bytes", id="long"),
    ],
)
def test_what_is_no_key_is_said_with_how_to_make_one_and_without_the_secret(text: str, said: str) -> None:
    with pytest.raises(NoSecret, match=said) as failed:
        keys_in(text)
    assert "openssl rand -base64 32" in str(failed.value)
    assert "hunter2" not in str(failed.value)
