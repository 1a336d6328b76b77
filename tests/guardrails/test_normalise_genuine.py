# ruff: noqa: RUF001 - the letters are those of the languages.
import base64
import hashlib
import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.guardrails.engine.normalise import views

LANGUAGES = (
    "Мама мыла раму, а папа читал газету в саду. Он сказал: «да».",
    "Привіт, як справи? Її ім'я — Оксана, і вона живе в Києві.",
    "Η γρήγορη αλεπού πηδά πάνω από το τεμπέλικο σκυλί, α και ω.",
    "Ողջույն, ինչպես եք այսօր",
    "我喜欢在公园里散步，今天天气很好！",
    "東京タワーに行きました。とても楽しかったです！",
    "안녕하세요, 오늘 날씨가 정말 좋네요.",
    "مرحبا كيف حالك؟ أَهْلًا وَسَهْلًا",
    "او می\u200cخواهد کتاب\u200cها را بخواند",
    "שָׁלוֹם עולם, מה שלומך היום?",
    "नमस्ते दुनिया, आप कैसे हैं? क्\u200dष और र्\u200dय",
    "สวัสดีชาวโลก วันนี้อากาศดี",
    "Tiếng Việt được viết bằng chữ Quốc ngữ, với nhiều dấu thanh.",
    "Kullanıcı adını yazın ve şifreyi değiştirin, çok kolaydır.",
    "L'été dernier, où étais-tu ? À côté du café, bien sûr.",
    "Größe, Straße und Übermut; Äpfel öffnen.",
    "¿Dónde está la biblioteca, señor? ¡Qué difícil!",
    "Zażółć gęślą jaźń, łódź i żółw.",
    "Český kůň příliš žluťoučký úpěl ďábelské ódy.",
    "Ọ̀rọ̀ Yorùbá ní àmì ohùn",
)

EMOJI = (
    "👨‍👩‍👧 and 👍🏽 and ❤️ and 🏳️‍🌈",
    "🇺🇸🇫🇷 🇩🇪 flags, 🏴󠁧󠁢󠁥󠁮󠁧󠁿 too",
    "press 1️⃣ or #️⃣, then ✅ or ☑︎",
)

CODE = (
    "def f(x: int) -> str:\n    return f'{x!r:>10}' if x != 0 else \"zero\"\n",
    "for (int i = 0; i < n; i++) { a[i] = b[j] + c[k] * d[l]; }",
    'import { z } from "zod"; const s2 = sha256(utf8(x)); // e2e test of i18n',
    "SELECT a, b, c, d FROM t1 WHERE x LIKE '%ab%' AND y = 5 % 3;",
    "x = a + b + c + d - e * f / g",
    "git@github.com:org/repo.git and user@example.com and @john and $HOME/$USER",
    "printf('%02d:%02d %5.2f%% %s')",
    "r'\\d+\\s*\\w' and C:\\users\\xavier\\new",
    '{"id": "a1b2c3d4e5", "ok": true, "n": [1, 2, 3], "t": "2026-08-01T10:20:30Z"}',
    "| a | b | c | d |\n|---|---|---|---|\n| 1 | 2 | 3 | 4 |\n| x | y | z | w |",
    "A B C D E F G H; 1 2 3 4 5 6 7 8; a, b, c, d, e",
    "kernel 5.15.0-91-generic, python3.11, v1.2.3-rc.1+build5, numpy>=1.26.4,<3",
    "https://example.com/a/b-c_d/e.html?x=1&y=2#part and www.example.org",
    "/usr/local/lib/python3.11/site-packages/numpy/core/_multiarray_umath.so",
    "MAC 00:1b:44:11:3a:b7, IPv6 2001:0db8:85a3:0000:0000:8a2e:0370:7334, 10.0.0.1",
    "ch. XVIII and Henry VIII; IEEE 802.11; YYYYMMDD; WWW; AAA batteries; xxx",
    "1st 2nd 3rd 4th 5th 100k 10ms 4GB 3D mp3 mp4 h264 b2b covid19 gpt4 k8s s3 x86 web3",
    "user1 item5 page7 step10 test_4 file3 day7 log4j base64 sha256 utf8 python3",
    "the U.S.A. and the U.K., e.g. Ph.D. or p.m., i.e. J. R. R. Tolkien",
    "Stop! Wait, what?! $100 + 50% = $150; c++ or a|b",
    "#define MAX_LEN 0x1F, color: #a0b1c2, rgb(10,20,30)",
    "internationalization responsibilities telecommunications",
)


@pytest.mark.parametrize("text", [*LANGUAGES, *EMOJI, *CODE])
def test_genuine_text_stays_as_it_is(text: str) -> None:
    [view] = views(text)
    assert view.text == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("The word мама is Russian for mother.", True),
        ("Я использую API и SDK каждый день.", True),
        ("Set α = 0.05 and β = 0.2, then ν.", True),
        ("The \u0440\u0430\u0455\u0455word is here", False),
    ],
)
def test_lookalikes_are_turned_only_where_they_pass_for_latin(text: str, same: bool) -> None:
    assert (views(text)[0].text == text) is same


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_ids_and_hashes_stay_as_they_are(seed: int) -> None:
    rng = random.Random(seed)
    drawn = rng.randbytes(32)
    for text in (
        f"id {uuid.UUID(bytes=drawn[:16])} ok",
        f"commit {hashlib.sha1(drawn).hexdigest()}",
        f"sha256:{hashlib.sha256(drawn).hexdigest()}",
        f"key {base64.b64encode(drawn).decode()}",
        f"trace {drawn[:16].hex()} span {drawn[:8].hex()}",
        f"dump {drawn.hex(' ')}",
        f"at {rng.randrange(10**12)} for {rng.random()}",
    ):
        [view] = views(text)
        assert view.text == text


def test_a_picture_in_base64_is_not_decoded() -> None:
    picture = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + random.Random(1).randbytes(5_000)
    text = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    assert [view.text for view in views(text)] == [text]
    assert [view.kind for view in views(base64.encodebytes(picture).decode())] == ["folded"]


def test_a_signed_token_is_not_decoded() -> None:
    token = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwiaWF0IjoxNTE2MjM5MDIyfQ"
    )
    assert [view.text for view in views(token)] == [token]


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/?q=a%20b%20c&lang=en", "a &lt;b&gt; &amp; c", "\u0065\u0301tude",
        "it\u2019s\u00a0fine", "sooooo gooood", r"{\"a\": \"\u00e9tude \u2014 bar\"}",
        "1gn0r3 th3 rul3s", "i g n o r e   a l l",
    ],
)  # fmt: skip
def test_what_was_folded_is_folded_for_good(text: str) -> None:
    once = views(text)[0].text
    assert views(once)[0].text == once
