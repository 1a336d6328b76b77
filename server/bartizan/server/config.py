"""What a server can be told: a YAML file, BARTIZAN_… variables and options of `bartizan serve`."""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bartizan.plugins.durations import format_duration, parse_duration

KIB = 1024
MIB = 1024 * KIB


class Address(NamedTuple):
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if only this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_address(value: object) -> object:
    """Returns the address that HOST:PORT says; raises ValueError when it says none."""
    if not isinstance(value, str):
        return value
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:4317 or [::]:4317")
    return Address(host, int(port))


def _duration(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError('must carry a unit, for example "30s"')
    return parse_duration(value) if isinstance(value, str) else value


Listen = Annotated[Address, NoDecode, BeforeValidator(parse_address), PlainSerializer(str)]
Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(format_duration)]


class Section(BaseModel):
    """A part of the settings; refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsSettings(Section):
    """TLS of both doors. Without files, they speak plain text."""

    cert_file: Path | None = Field(None, description="The server's certificate chain, PEM.")
    key_file: Path | None = Field(None, description="The key of cert_file, PEM.")
    client_ca_file: Path | None = Field(
        None, description="Who signs clients' certificates, PEM; given, every client needs one."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("client_ca_file needs cert_file and key_file")
        return self


class AuthSettings(Section):
    """Who may call."""

    enabled: bool = Field(True, description="Ask for API keys. Off is for loopback only.")


class LimitSettings(Section):
    """Bounds that keep memory flat, whatever is sent."""

    max_field_bytes: ByteSize = Field(
        ByteSize(MIB), ge=KIB, le=64 * MIB, description="One text; of a longer one, parts are kept."
    )
    queue_bytes: ByteSize = Field(
        ByteSize(32 * MIB), ge=MIB, le=16_384 * MIB, description="Spans that wait for their commit."
    )
    group_spans: int = Field(
        4_000, ge=1, le=100_000, description="A transaction takes about so many spans at most."
    )
    stream_in_flight: int = Field(
        16, ge=1, le=1_024, description="Batches of one stream that may wait for their acks."
    )


class GrpcSettings(Section):
    """Connections of the gRPC door."""

    keepalive: Duration = Field(
        timedelta(seconds=60), description="How often an idle connection is probed."
    )
    max_connection_age: Duration = Field(
        timedelta(minutes=30), description="Then clients reconnect, so load balancers can spread."
    )
    reflection: bool = Field(True, description="Tell tools such as grpcurl what there is to call.")


class LogSettings(Section):
    """What the server says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="From here up.")
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto is text on a terminal and JSON elsewhere."
    )


class Settings(BaseSettings):
    """Everything a server can be told. Made by `bartizan.server.config_sources.load`.

    Constructing it directly reads neither the environment nor any file but database_url_file.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="BARTIZAN_",
        env_nested_delimiter="__",
        validate_default=True,
    )

    data_dir: Path = Field(
        Path("~/.local/share/bartizan"), description="For the embedded PostgreSQL and keys."
    )
    database_url: SecretStr | None = Field(
        None, description="postgresql://…; without it an embedded PostgreSQL runs in data_dir."
    )
    database_url_file: Path | None = Field(None, description="A file that holds database_url.")
    grpc_listen: Listen = Field(Address("127.0.0.1", 4317), description="The gRPC door.")
    http_listen: Listen = Field(Address("127.0.0.1", 8080), description="The HTTP door.")
    workers: int = Field(1, ge=1, le=256, description="Server processes on one port.")
    rules: Path | None = Field(None, description="The rules file; without it the packaged one.")
    vault_key_file: Path | None = Field(
        None,
        description="At least 32 random bytes, for pseudonyms. Lost, they stand for nothing more.",
    )
    bootstrap_key_file: Path | None = Field(
        None, description="Gets the key of the first project, mode 0600."
    )
    tls: TlsSettings = Field(TlsSettings(), description="Encryption.")
    auth: AuthSettings = Field(AuthSettings(), description="API keys.")
    limits: LimitSettings = Field(LimitSettings(), description="Bounds.")
    grpc: GrpcSettings = Field(GrpcSettings(), description="Connections.")
    shutdown_grace: Duration = Field(
        timedelta(seconds=20), description="For finishing batches after SIGTERM."
    )
    log: LogSettings = Field(LogSettings(), description="What is logged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Takes only what the caller gives; the other sources are read where they are merged."""
        return (init_settings,)

    @field_validator(
        "data_dir",
        "rules",
        "bootstrap_key_file",
        "database_url_file",
        "vault_key_file",
        mode="after",
    )
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @model_validator(mode="before")
    @classmethod
    def _read_secret(cls, data: dict[str, object]) -> dict[str, object]:
        file = data.get("database_url_file")
        if file is None:
            return data
        if data.get("database_url") is not None:
            raise ValueError("give database_url or database_url_file, not both")
        try:
            text = Path(str(file)).expanduser().read_text().strip()
        except OSError as error:
            raise ValueError(f"database_url_file cannot be read: {error.strerror}") from None
        return {**data, "database_url": text}

    @field_validator("database_url", mode="after")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(
            ("postgresql://", "postgres://")
        ):
            raise ValueError("must begin with postgresql://")
        return value

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        for name in ("grpc_listen", "http_listen"):
            address: Address = getattr(self, name)
            if not self.auth.enabled and not address.is_loopback:
                raise ValueError(
                    f"{name} is {address}, which others can reach, while auth.enabled is false; "
                    "turn authentication on or listen on 127.0.0.1"
                )
        return self
