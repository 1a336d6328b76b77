import pytest
from pydantic import Field, SecretStr

from bartizan.plugins.config import PluginConfig, nearest, parse_config
from bartizan.plugins.errors import ConfigError


class Inner(PluginConfig):
    threshold: float = Field(0.5, ge=0, le=1)


class Outer(PluginConfig):
    api_key: SecretStr = SecretStr("")
    inner: Inner = Inner()
    many: dict[str, Inner] = {}
    some: tuple[Inner, ...] = ()


def message(document: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(Outer, document, "file.yaml")
    return caught.value.message


def test_a_right_document_is_parsed_and_frozen() -> None:
    parsed = parse_config(Outer, {"inner": {"threshold": 0.25}}, "file.yaml")
    assert parsed.inner.threshold == 0.25
    with pytest.raises(ValueError):
        setattr(parsed, "inner", Inner())  # noqa: B010


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"iner": {}}, "'iner' is not a known key (did you mean 'inner'?)"),
        (
            {"inner": {"thresholdd": 1}},
            "'inner.thresholdd' is not a known key (did you mean 'threshol",
        ),
        ({"many": {"a": {"THRESHOLD": 1}}}, "'many.a.THRESHOLD' is not a known key (did you mean"),
        ({"some": [{"thrshld": 1}]}, "'some[0].thrshld' is not a known key (did you mean 'thres"),
        ({"inner": {"threshold": 7}}, "'inner.threshold': Input should be less than or equal to 1"),
        ({"zzz": 1}, "file.yaml: 'zzz' is not a known key"),
    ],
)
def test_a_wrong_document_gets_one_sentence(document: object, said: str) -> None:
    assert said in message(document)


def test_many_problems_are_counted() -> None:
    assert message({"a1": 1, "b1": 1, "c1": 1, "d1": 1, "e1": 1}).endswith("and 2 more")


def test_no_value_is_quoted() -> None:
    assert "sk-123" not in message({"api_key": ["sk-123"], "apikey": "sk-123"})
    assert "sk-123" not in message({"inner": {"threshold": "sk-123"}})


def test_nearest_ignores_case_and_gives_up() -> None:
    assert nearest("email_adress", ["EMAIL_ADDRESS", "URL"]) == " (did you mean 'EMAIL_ADDRESS'?)"
    assert nearest("x", ["EMAIL_ADDRESS"]) == ""
