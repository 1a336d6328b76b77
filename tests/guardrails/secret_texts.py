"""Secrets as their makers document them, what nearly looks like one, and texts around them.

Written from the formats and not from the guardrail. Nothing here was ever in use.
"""

import base64
import json
import random
import string
import zlib
from collections.abc import Callable

from hypothesis import strategies as st

ALNUM = string.ascii_letters + string.digits
DIGITS_OF_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
WORD = ALNUM + "_-"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
BASE32 = string.ascii_uppercase + "234567"

Make = Callable[[random.Random], str]


def of(alphabet: str, count: int) -> Make:
    """Returns what makes random characters."""
    return lambda rng: "".join(rng.choices(alphabet, k=count))


def form(template: str, *parts: Make) -> Make:
    """Returns what fills a template with random parts."""
    return lambda rng: template.format(*(part(rng) for part in parts))


def uuid(rng: random.Random) -> str:
    """Returns a random UUID."""
    return "-".join(of(HEX, count)(rng) for count in (8, 4, 4, 4, 12))


def with_crc32(prefix: str) -> Make:
    """Returns what makes tokens as GitHub does: 30 characters and their checksum."""

    def make(rng: random.Random) -> str:
        secret = of(ALNUM, 30)(rng)
        number, digits = zlib.crc32(secret.encode()), ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            digits = DIGITS_OF_BASE62[digit] + digits
        return prefix + secret + digits

    return make


def in_base64(document: object) -> str:
    """Returns a document as the part of a JSON Web Token."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def jwt(rng: random.Random) -> str:
    """Returns a JSON Web Token."""
    header = in_base64({"alg": rng.choice(["HS256", "RS256", "ES256"]), "typ": "JWT"})
    body = in_base64({"sub": of(ALNUM, 12)(rng), "exp": rng.randrange(10**9, 2 * 10**9)})
    return f"{header}.{body}.{of(WORD, 43)(rng)}"


def discord(rng: random.Random) -> str:
    """Returns the token of a bot of Discord: the number of its account comes first."""
    account = base64.b64encode(str(rng.randrange(10**17, 10**18)).encode()).decode()
    return f"{account.rstrip('=')}.{of(WORD, 6)(rng)}.{of(WORD, 38)(rng)}"


def pem(rng: random.Random) -> str:
    """Returns a private key as PEM."""
    kind = rng.choice(["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""])
    lines = "\n".join(of(BASE64, 64)(rng) for _ in range(rng.randrange(3, 20)))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----\n"


FORMATS: dict[str, Make] = {
    "aws id": form("AKIA{}", of(BASE32, 16)),
    "aws temporary id": form("ASIA{}", of(BASE32, 16)),
    "google api key": form("AIza{}", of(WORD, 35)),
    "google oauth": form("GOCSPX-{}", of(WORD, 28)),
    "google token": form("ya29.{}", of(WORD, 120)),
    "azure storage": form(
        "DefaultEndpointsProtocol=https;AccountName=data;AccountKey={}==;EndpointSuffix=x",
        lambda rng: base64.b64encode(rng.randbytes(64)).decode().rstrip("="),
    ),
    "azure sas": form("https://x.blob.core.windows.net/a?sv=2022-11-02&sig={}%3D", of(ALNUM, 43)),
    "azure secret": form("{}8Q~{}", of(ALNUM, 3), of(ALNUM + "_~.-", 34)),
    "digitalocean": form("dop_v1_{}", of(HEX, 64)),
    "heroku": form("HRKU-{}", uuid),
    "databricks": form("dapi{}", of(HEX, 32)),
    "planetscale": form("pscale_tkn_{}", of(WORD, 43)),
    "github": with_crc32("ghp_"),
    "github oauth": with_crc32("gho_"),
    "github server": with_crc32("ghs_"),
    "github fine": form("github_pat_{}_{}", of(ALNUM, 22), of(ALNUM, 59)),
    "gitlab": form("glpat-{}", of(WORD, 20)),
    "gitlab runner": form("glrt-{}", of(WORD, 20)),
    "atlassian": form("ATATT3{}={}", of(WORD, 180), of(UPPER, 8)),
    "npm": with_crc32("npm_"),
    "pypi": form("pypi-AgEIcHlwaS5vcmc{}", of(WORD, 160)),
    "rubygems": form("rubygems_{}", of(HEX, 48)),
    "docker": form("dckr_pat_{}", of(WORD, 27)),
    "terraform": form("{}.atlasv1.{}", of(ALNUM, 14), of(WORD, 67)),
    "vault": form("hvs.{}", of(WORD, 95)),
    "doppler": form("dp.pt.{}", of(ALNUM, 43)),
    "pulumi": form("pul-{}", of(HEX, 40)),
    "openai": form("sk-{}T3BlbkFJ{}", of(ALNUM, 20), of(ALNUM, 20)),
    "openai project": form("sk-proj-{}T3BlbkFJ{}", of(WORD, 74), of(WORD, 74)),
    "openai plain": form("sk-{}", of(ALNUM, 48)),
    "anthropic": form("sk-ant-api03-{}AA", of(WORD, 93)),
    "openrouter": form("sk-or-v1-{}", of(HEX, 64)),
    "hugging face": form("hf_{}", of(ALNUM, 34)),
    "groq": form("gsk_{}", of(ALNUM, 52)),
    "perplexity": form("pplx-{}", of(ALNUM, 48)),
    "replicate": form("r8_{}", of(ALNUM, 37)),
    "langsmith": form("lsv2_pt_{}_{}", of(HEX, 32), of(HEX, 10)),
    "slack bot": form("xoxb-{}-{}-{}", *(of(string.digits, 12),) * 2, of(ALNUM, 24)),
    "slack app": form(
        "xapp-1-A{}-{}-{}", of(UPPER, 10), of(string.digits, 13), of(HEX, 64)
    ),
    "slack hook": form(
        "https://hooks.slack.com/services/T{}/B{}/{}", *(of(UPPER, 10),) * 2, of(ALNUM, 24)
    ),
    "discord": discord,
    "telegram": form("{}:AA{}", of("123456789", 10), of(WORD, 33)),
    "twilio": form("SK{}", of(HEX, 32)),
    "sendgrid": form("SG.{}.{}", of(WORD, 22), of(WORD, 43)),
    "mailchimp": form("{}-us14", of(HEX, 32)),
    "mailgun": form("key-{}", of(HEX, 32)),
    "stripe": form("sk_live_{}", of(ALNUM, 24)),
    "stripe restricted": form("rk_live_{}", of(ALNUM, 99)),
    "square": form("sq0atp-{}", of(WORD, 22)),
    "shopify": form("shpat_{}", of(HEX, 32)),
    "new relic": form("NRAK-{}", of(UPPER, 27)),
    "sentry": form("sntryu_{}", of(HEX, 64)),
    "grafana": form("glsa_{}_{}", of(ALNUM, 32), of(HEX, 8)),
    "dynatrace": form("dt0c01.{}.{}", of(UPPER, 24), of(UPPER, 64)),
    "linear": form("lin_api_{}", of(ALNUM, 40)),
    "notion": form("ntn_{}{}", of(string.digits, 11), of(ALNUM, 35)),
    "postman": form("PMAK-{}-{}", of(HEX, 24), of(HEX, 34)),
    "airtable": form("pat{}.{}", of(ALNUM, 14), of(HEX, 64)),
    "age": form("AGE-SECRET-KEY-1{}", of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
    "bartizan": form("bz_{}", of(ALNUM, 43)),
    "jwt": jwt,
    "pem": pem,
    "basic": lambda rng: "Authorization: Basic "
    + base64.b64encode(f"svc:{of(ALNUM, 14)(rng)}".encode()).decode(),
    "bearer": form("Authorization: Bearer {}", of(ALNUM, 40)),
    "url": form("postgresql+asyncpg://app:{}@db.internal:5432/app", of(ALNUM, 14)),
    "redis url": form("redis://:{}@cache:6379/0", of(ALNUM, 16)),
    "ado": form("Server=tcp:db,1433;Database=a;User ID=b;Password={};Encrypt=True", of(ALNUM, 9)),
    "netrc": form("machine api.acme.io\n  login ci\n  password {}", of(ALNUM, 12)),
    "aws secret": form("aws_secret_access_key = {}", of(BASE64, 40)),
    "kubeconfig": form("users:\n- name: a\n  user:\n    token: {}", of(ALNUM, 48)),
    "datadog": form("DD_API_KEY={}", of(HEX, 32)),
    "npmrc": form("//npm.example.com/:_authToken={}", uuid),
    "flag": form("deploy --token {} --region eu", of(ALNUM, 32)),
    "client secret": form('{{"client_id": "a", "client_secret": "{}"}}', of(WORD, 40)),
    "password": form("password: {}-{}!", of(string.ascii_lowercase, 5), of(ALNUM + "#", 9)),
    "spoken": form("The password is {}7!.", of(ALNUM, 10)),
}  # fmt: skip
"""By the name of the format: what makes one, or a text with one in it."""

NEAR_MISSES: tuple[Make | str, ...] = (
    "api_key = <your-api-key>", "OPENAI_API_KEY=sk-your-key-here", "token: ${GITHUB_TOKEN}",
    "password = os.environ['DB_PASSWORD']", "const key = process.env.STRIPE_SECRET_KEY;",
    'password = getenv("PGPASSWORD")', "password: str = Field(description='Of the database.')",
    "api_key: str | None = None", "token: Optional[str]", "secret: {{ .Values.secret }}",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "password: ********", "password: changeme",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", '{"password": null}',
    "postgres://user:password@localhost:5432/db", "postgres://${USER}:${PASSWORD}@host/db",
    "https://<user>:<token>@example.com/", "Authorization: Bearer <token>",
    "Authorization: Bearer $TOKEN", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "max_tokens: 4096, total_tokens=133297", '{"usage": {"prompt_tokens": 1234567890}}',
    "Reset your password before the token expires.", "the password must be at least 12 characters",
    "self.token = response.access_token", "secret_name: prod-db-credentials-v2",
    "return hash_password(password, salt=config.salt)", "import { token } from './auth/token2'",
    "keyboard_layout=us-intl-2", "primary_key='order_line_id_2'", "tokenizer: cl100k_base_v2",
    "risk-adjusted-return-2024-portfolio", "task-oriented-dialogue-system-v2-0001",
    "monkey: Bubbles99",
    form("commit {}", of(HEX, 40)), form("trace_id={} span_id={}", of(HEX, 32), of(HEX, 16)),
    form("id: {}", uuid), form("request_id={}", uuid), form("sha256:{}", of(HEX, 64)),
    form('"integrity": "sha512-{}=="', of(BASE64, 86)), form("image: app@sha256:{}", of(HEX, 64)),
    form("data:image/png;base64,iVBORw0KGgo{}", of(BASE64, 200)), form('"etag": "{}"', of(HEX, 32)),
    form('{{"next_page_token": "{}"}}', of(WORD, 40)), form("csrf_token={}", of(ALNUM, 32)),
    form("call_{}", of(ALNUM, 24)), form("chatcmpl-{}", of(ALNUM, 29)),
    form("msg_{}", of(ALNUM, 24)),
    form("run_{} finished", of(HEX, 24)), form("x-request-id: {}", uuid),
    form("public_key = {}", of(BASE64, 43)), form("hf_{}", of(ALNUM, 8)),
    form("ghp_{}", of(ALNUM, 12)), form("AKIA{}", of(BASE32, 8)), form("glpat-{}", of(WORD, 6)),
    form("version 1.{}.0-rc1+build.{}", of(string.digits, 2), of(HEX, 7)),
    form("0x{}", of(HEX, 12)), form("pod/web-{}-{}", of(HEX, 10), of(HEX, 5)),
    form("token_count={}", of(string.digits, 10)), form("key_id: {}", of(ALNUM, 20)),
)  # fmt: skip
"""What is no secret."""

AROUND = (
    "{}", "Here you are:\n{}\nAnything else?", "tool_result: {} (took 132 ms)", "export X={}\n",
    "| 1 | {} | ok |", "see `{}` in config.yaml", "\u2014 \u5bc6\u94a5 {} \U0001f600 done",
)  # fmt: skip


def near_miss(rng: random.Random) -> str:
    """Returns something that is no secret."""
    chosen = rng.choice(NEAR_MISSES)
    return chosen if isinstance(chosen, str) else chosen(rng)


FRAGMENTS = (
    "ghp_", "sk-", "AKIA", "eyJ", "eyJhbGciOiJIUzI1NiJ9", "-----BEGIN PRIVATE KEY-----", "-----",
    "-----END PRIVATE KEY-----", "://", "://a:bcdef@", "@host", "password", "Password=", "pwd=",
    "token: ", '"api_key": "', "secret ", "is ", "Bearer ", "basic ", "login a password b ",
    "curl -u a:", "--token ", "Private-Lines: 2\n", '"d": "', '"kty"', "SharedAccessKey=", "?sig=",
    "xoxb-1", "SG.", "hf_", "npm_", "glpat-", "AccountKey=", "value: ", "-us14", "\\n", "\\", '"',
    "'", "\n", " ", "=", ";", ".", "_", "-", "\u00e9", "\u212a", "\u017f", "\U0001f469\u200d",
    "\ud800", "\0", "xxxx", "${A}", "7Fq2", "hunter2!", "x1b[93m", "\x1b[93m",
)  # fmt: skip

RANDOM = random.Random(20)
MADE = tuple(make(RANDOM) for make in FORMATS.values())

texts = st.lists(
    st.sampled_from(FRAGMENTS)
    | st.sampled_from(MADE)
    | st.text(ALNUM + "+/=_-.:@\"' ", max_size=40)
    | st.text(max_size=3),
    max_size=8,
).map("".join)
