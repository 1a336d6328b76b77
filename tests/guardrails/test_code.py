# ruff: noqa: E501 - samples are long

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.code import Code, CodeConfig
from bartizan.guardrails.code_cues import BY_LABEL, CUES, LABELS, NO_CODE
from bartizan.guardrails.engine.fences import fences
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.testing import GuardrailConformance

SAMPLES = {
    "python": "def add(a, b):\n    return a + b\n\nfor x in range(3):\n    print(add(x, 1))",
    "javascript": "const add = (a, b) => a + b;\nconsole.log(add(1, 2));",
    "typescript": "interface User {\n  name: string;\n  age?: number;\n}\ntype Id = string | number",
    "sql": "SELECT id, name FROM users WHERE active = 1 ORDER BY name;",
    "shell": "#!/bin/bash\nset -e\ngit clone https://example.com/x.git && cd x\nls -la | grep py",
    "powershell": "Get-ChildItem -Path . | Where-Object { $_.Length -gt 5 }",
    "html": '<!DOCTYPE html>\n<div class="a"><a href="/x">x</a></div>',
    "css": ".button {\n  color: red;\n  margin: 0 auto;\n}",
    "java": "public class Main {\n  public static void main(String[] args) {\n"
    '    System.out.println("x");\n  }\n}',
    "c": '#include <stdio.h>\nint main(void) {\n  printf("x\\n");\n  return 0;\n}',
    "cpp": "#include <iostream>\nusing namespace std;\nint main() { cout << 1; }",
    "csharp": "using System;\nnamespace A {\n  class B { public int X { get; set; } }\n}",
    "go": 'package main\n\nfunc main() {\n\tx := 1\n\tfmt.Println("x", x)\n}',
    "rust": 'fn main() {\n    let mut x = 1;\n    println!("{}", x);\n}',
    "php": "<?php\n$x = 1;\necho $x;",
    "ruby": "class A\n  attr_reader :x\n  def go\n    [1].each do |x|\n      puts x\n    end\n  end\nend",
    "kotlin": "data class A(val x: Int)\nfun main() {\n    val y = 1\n}",
    "swift": "import Foundation\nfunc go(x: Int) -> Int {\n  guard let y = z else { return 1 }\n}",
}

PROSE = (
    "Please select an item from the list and update your profile.",
    "I want you to act as an SQL terminal and drop the table of contents into the index.",
    "Import taxes: while we wait, the class of 1999 returns for a party.",
    "From here on, let us function as a team; if that works, print the report (twice).",
    "The public class was open to all. Public void? No: a static display.",
    "We use std values, git, docker and curl. Use echo and cat if you like.",
    "Name: Jane\nAge: 30\nCity: Rome\n- one\n- two",
    '{"name": "x", "items": [1, 2, {"a": null}]}',
    "JavaScript: The Good Parts => a book. 3 < 4 and 5 > 2.",
    "Create user stories; delete from memory what you do not need.",
)


def code(**config: object) -> Code:
    return Code(CodeConfig.model_validate(config))


CODE = code()


class TestCode(GuardrailConformance):
    def make(self) -> Guardrail:
        return code()


@pytest.mark.parametrize("name", SAMPLES)
def test_code_among_sentences_is_told(name: str) -> None:
    text = f"Here is what I have so far:\n\n{SAMPLES[name]}\n\nWhat do you think?"
    [(category, found)] = cut(CODE, text)
    assert category == f"code.{name}"
    assert found.splitlines()[0] == SAMPLES[name].splitlines()[0]
    assert "What do you think" not in found


@pytest.mark.parametrize("name", LABELS)
def test_a_fence_says_what_it_holds(name: str) -> None:
    text = f"So:\n```{name} title=x\nx y z\n```\nand on"
    assert cut(CODE, text) == [(f"code.{name}", "x y z\n")]
    [found] = asked(CODE, text)
    assert found.code == "CODE_FENCED"


@pytest.mark.parametrize("name", ["python", "sql", "go"])
def test_a_fence_without_a_label_is_judged_by_what_it_holds(name: str) -> None:
    text = f"~~~\n{SAMPLES[name]}\n~~~"
    assert cut(CODE, text) == [(f"code.{name}", f"{SAMPLES[name]}\n")]


def test_fences_of_data_and_of_nothing() -> None:
    assert asked(CODE, '```json\n{"a": 1}\n```') == []
    assert asked(CODE, "```\nhello world\n```") == []
    assert asked(CODE, "```python\n```") == []
    assert cut(CODE, "```cobol\nMOVE A TO B\n```") == [("code.other", "MOVE A TO B\n")]


def test_a_fence_may_stay_open() -> None:
    assert cut(CODE, "```py\nprint(1)") == [("code.python", "print(1)")]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_no_code(text: str) -> None:
    assert asked(CODE, text) == []


def test_two_pieces_are_two_findings() -> None:
    text = f"{SAMPLES['python']}\n\n{PROSE[0] * 20}\n\n{SAMPLES['sql']}"
    assert [category for category, _ in cut(CODE, text)] == ["code.python", "code.sql"]


def test_only_what_is_wanted() -> None:
    text = f"{SAMPLES['python']}\n{PROSE[0] * 20}\n{SAMPLES['sql']}"
    assert [category for category, _ in cut(code(languages=["sql"]), text)] == ["code.sql"]
    assert asked(code(fences_alone=True), text) == []
    assert len(asked(code(fences_alone=True), f"```\n{SAMPLES['go']}\n```")) == 1


@settings(max_examples=200, deadline=None)
@given(anything | st.lists(st.sampled_from([*SAMPLES.values(), "```", "~~~\n", "\n"])).map("".join))
def test_any_text_is_borne(text: str) -> None:
    asked(CODE, text)


@given(st.text("`~ a\n>", max_size=80))
def test_fences_are_in_order_and_apart(text: str) -> None:
    end = 0
    for fence in fences(text):
        assert end <= fence.start <= fence.end <= fence.after <= len(text)
        end = fence.after


@pytest.mark.parametrize(
    "piece",
    ["select a ", "a, ", "(", "def f(", "<a ", "```\n", "x = 1;\n", "$a", " ", "SELECT a FROM b\n"],
)
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    assert grows_with_the_text(lambda text: asked(CODE, text), piece, 4_000)


def test_the_tables_agree() -> None:
    assert {cue.language for cue in CUES} == set(LABELS)
    assert NO_CODE.isdisjoint(BY_LABEL)
    assert all(0 < cue.weight < 1 for cue in CUES)


def test_a_wrong_configuration_is_one_sentence() -> None:
    said = refused(CodeConfig, languages=["pythn"])
    assert "'languages': no language 'pythn' can be told (did you mean 'python'?)" in said
    assert "'languages'" in refused(CodeConfig, languages=[])
