"""Alert channels as people write them: what each service needs, and problems that repeat no secret."""

from __future__ import annotations

import pytest

from laneway import config
from laneway.channels import made_channels
from laneway.config import ConfigError
from laneway.policy.alerts import SENTENCES, Channel
from laneway.settings import Settings


def made(text: str) -> tuple[Channel, ...]:
    """The channels of a file; raises ConfigError as a whole configuration would."""
    problems: list[config.Problem] = []
    source = config.read(f"[alerts.phone]\n{text}", {"HOOK": "hush"})
    channels = made_channels(source.settings, lambda path, message: problems.append(config.Problem(path, message)))
    if source.problems or problems:
        raise ConfigError([*source.problems, *problems])
    return channels


def test_each_service_is_reached_at_its_address() -> None:
    (telegram,) = made('service = "telegram"\ntoken = "123:abc-D_e"\nchat = "-100"')
    assert (telegram.origin, telegram.path) == ("https://api.telegram.org", "/bot123:abc-D_e/sendMessage")
    assert telegram.kinds == frozenset(SENTENCES)
    (slack,) = made('service = "slack"\nurl = "https://hooks.slack.test/services/T/B/x"\nkinds = ["cap"]')
    assert (slack.origin, slack.path, sorted(slack.kinds)) == ("https://hooks.slack.test", "/services/T/B/x", ["cap"])
    (hook,) = made(
        'url = "https://a.test:8443/x?y=1"\nsecret = "${HOOK}"\nsummary_at = "08:30"\nzone = "Europe/Vienna"'
    )
    assert (hook.origin, hook.path, hook.secret) == ("https://a.test:8443", "/x?y=1", "hush")
    assert (hook.minute, hook.zone) == (510, "Europe/Vienna")
    (own,) = made('url = "http://127.0.0.1:9"\nprivate = true')
    assert (own.path, own.private) == ("/", True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "alerts.phone.url: is missing"),
        ('url = "ftp://a.test/SECRET"', "alerts.phone.url: expected an http:// or https:// address with a host"),
        ('url = "https://u:SECRET@a.test"', "alerts.phone.url: expected an http:// or https:// address"),
        ('url = "http://10.0.0.7/SECRET"', "alerts.phone.url: is in the own network; set private = true"),
        ('url = "http://box.local/SECRET"', "alerts.phone.url: is in the own network"),
        ('service = "telegram"\ntoken = "SEC RET"\nchat = "1"', "alerts.phone.token: a Telegram bot needs its token"),
        ('service = "telegram"\ntoken = "SECRET"', "alerts.phone.chat: is missing"),
        ('url = "https://a.test"\ntext = "{word}"', "alerts.phone.text: holds a name in braces that nobody fills in"),
        ('url = "https://a.test"\nsummary_at = "25:00"', "alerts.phone.summary_at: expected an hour"),
        ('url = "https://a.test"\nzone = "Vienna"', "alerts.phone.zone: is no time zone"),
        ('url = "https://a.test"\nkinds = ["caps"]', "alerts.phone.kinds[0]: "),
        ('url = "https://a.test"\nsecret = ["SECRET"]', "alerts.phone.secret: expected text"),
        ('url = 7\ntoken = "SECRET"', "alerts.phone.url: expected text"),
    ],
)
def test_what_is_wrong_is_told_without_the_secret(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(text)
    assert problem in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_without_channels_there_is_nothing_to_send() -> None:
    assert made_channels(Settings(), lambda path, message: None) == ()
