"""Families of expressions that speak for an attack. Each adds a fixed weight, once per window.

All are expressions of RE2, so that any text takes time in proportion to its length.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import re2

from bartizan.guardrails.engine.ngrams import Integers
from bartizan.guardrails.engine.prefilter import options

MOST_MATCHES = 64
"""Of one family in one text."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a kind of attack says.

    Attributes:
        name: of the kind.
        weight: what a match adds to the logit of the window that it begins in.
        pattern: an expression of RE2.
    """

    name: str
    weight: float
    pattern: str


class Match(NamedTuple):
    """Where a family matched."""

    family: int
    start: int


_IGNORE = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|discard|dismiss|abandon|bypass|neglect"
    r"|override|overwrite|unlearn|do(?: not|n'?t) (?:follow|obey|listen to|comply with)"
    r"|stop (?:following|obeying|listening to)|no longer (?:follow|obey)"
    r"|pay no attention to|take no notice of)"
)
_OLD = (
    r"(?:all|any|every|everything|each|the|those|these|your|my|of|previous|prior|preceding|above"
    r"|earlier|original|initial|existing|former|system|hidden|given|past|other|safety|openai'?s?"
    r"|developer'?s?|content|ethical|internal|programmed|and|or|said|whole|foregoing)"
)
_RULES = (
    r"(?:instructions?|rules?|guidelines?|directions?|directives?|commands?|orders|prompts?"
    r"|polic(?:y|ies)|restrictions?|constraints?|programming|training|safeguards|guidance"
    r"|limitations|protocols|instuctions|instrutions|directons)"
)
_OWN = (
    r"(?:(?:your|the|its|chatgpt'?s|this) )(?:(?:own|full|exact|entire|complete|original|initial"
    r"|hidden|secret|internal|confidential|verbatim|whole|current|real|actual|very|first|custom) )*"
    r"(?:system|initial|original|hidden|secret|internal|developer|confidential|starting|base|pre)"
    r"[ -]?(?:prompt|instructions?|message|rules|guidelines|directives|configuration|context)"
)
_TELL = (
    r"(?:show|tell|give|print|reveal|repeat|output|display|disclose|expose|leak|dump|recite|quote"
    r"|copy|paste|write|share|send|say|spell|list|summari[sz]e|translate|encode|reproduce|return"
    r"|what(?:'s| is| are| was| were)|read)"
)

FAMILIES = (
    Family(
        "override",
        2.5,
        rf"(?i)\b{_IGNORE}\W+(?:{_OLD}\W+){{1,5}}{_RULES}\b"
        rf"|\b(?:ignore|disregard|forget) (?:everything|all|anything|whatever)"
        r" (?:above|before|that was|that came|you (?:were|have been|know|learned)|i (?:said|told)"
        r"|prior|previous|said|written|we)\b"
        rf"|\b{_RULES} (?:above |before )?(?:are|is|have been|has been) (?:now )?(?:void|cancel"
        r"|revoked|obsolete|superseded|overridden|replaced|no longer valid|lifted|suspended)"
        rf"|\b(?:your|here are|follow|the following|these) (?:are )?(?:your )?new"
        rf" (?:{_RULES}|task|objective|goal|mission|role)\b"
        r"|\bnew (?:instructions|task|objective|rules|directive|orders|prompt) ?:",
    ),
    Family(
        "foreign_override",
        2.5,
        r"(?i)\b(?:ignora|olvida|desconsidere|esqueça|ignorez|oubliez?|dimentica|ignorier\w*"
        r"|ignore (?:toutes|tous|les|tes|vos|todas|as|quaisquer)"
        r"|vergiss|vergessen sie|missachte|negeer|vergeet|zignoruj|zapomnij|ignoruj|zapomeň"
        r"|glöm|ignorera|abaikan|lupakan|bỏ qua|hãy quên|phớt lờ)\b.{0,40}\b(?:instruc\w*"
        r"|istruzioni|regole|règles|consignes|reglas|regras|órdenes|ordens|anweisungen|regeln"
        r"|befehle|instru[ck]\w*|opdrachten|polecenia|zasady|pokyny|pravidla|perintah|aturan"
        r"|hướng dẫn|quy tắc)"
        r"|(?:игнорируй|забудь|проигнорируй|не выполняй|ігноруй).{0,40}(?:инструкц|указани|правил"
        r"|команд|інструкц|вказівк)"
        r"|(?:忽略|无视|忘记|忘掉|無視).{0,12}(?:指令|指示|规则|命令|提示|規則)"
        r"|(?:指示|命令|ルール|プロンプト)を(?:すべて)?(?:無視|忘れ|破棄|取り消)"
        r"|(?:지시|명령|규칙|지침).{0,8}(?:무시|잊|버리)"
        r"|(?:تجاهل|انس).{0,20}(?:التعليمات|الأوامر|القواعد)"
        r"|(?:निर्देशों|नियमों|आदेशों) को (?:अनदेखा|भूल|नज़रअंदाज़)"
        r"|(?:talimat|kural|komut)\w* (?:yok say|unut|görmezden)",
    ),
    Family(
        "reveal",
        2.5,
        rf"(?i)\b{_TELL}\b.{{0,40}}\b{_OWN}\b"
        rf"|\b{_TELL}\b.{{0,25}}\b(?:your|you were given|given to you) (?:\w+ )?"
        r"(?:prompt|instructions|guidelines|rules|directives)\b"
        r"|\b(?:repeat|print|output|copy|write|display|translate|recite|spell)\b.{0,20}"
        r"\b(?:everything|words|text|sentences?|lines|content|paragraph)s? (?:written )?"
        r"(?:above|before this|that came before|preceding|prior to)"
        r"|\bwhat (?:were|are) you (?:told|instructed|programmed)\b"
        r"|\b(?:tell|give|reveal|say|what is|what's|spell)\b.{0,20}\b(?:the|your) "
        r"(?:secret|password|passphrase|passcode|secret (?:word|key|phrase))\b"
        r"|\b(?:system_prompt|systemprompt|initial_prompt)\b ?\)",
    ),
    Family(
        "jailbreak",
        2.5,
        r"(?i)\bdo anything now\b|\b(?:as|like|is|be|are|called|named) dan\b"
        r"|\b(?:no|without|free (?:of|from)|ignores?|breaks?|free from (?:all|any))"
        r" (?:any |all |moral |ethical |openai |content |longer |or |and |such ){0,3}"
        r"(?:restrictions|censorship|filters?|ethical guidelines|ethics|morals?|moral compass"
        r"|content polic|limitations|guidelines|boundaries|moral guidelines|legal|inhibitions)\b"
        r"|\b(?:unfiltered|uncensored|amoral|unrestricted|jailbroken|unethical|immoral)"
        r"\W+(?:and |but |, |\w+ )?(?:ai|chatbot|bot|assistant|model|response|answer|character"
        r"|version|language|mode|robot|persona)"
        r"|\b(?:developer|debug|god|jailbreak|dan|unrestricted|sudo|admin|opposite) mode"
        r" (?:enabled|activated|on\b|is now|is on|output|v\d)"
        r"|\b(?:stay|remain|keep|staying) in (?:character|dan|role)\b.{0,60}\b(?:token|refuse|lose)"
        r"|\b(?:never|not|cannot|can't|must not) (?:ever )?(?:refuse|decline|say no|reject)\b"
        r"|\bbroken free\b|\bjailbreak(?:ed)?\b.{0,30}\b(?:prompt|mode|you|chatgpt)\b"
        r"|\bas an ai\b.{0,40}\b(?:never|don't|do not|not allowed|forbidden|refrain)"
        r"|\b(?:illegal|unethical|immoral|harmful|dangerous|offensive)\b.{0,20}"
        r"\b(?:unethical|immoral|illegal|harmful|dangerous|offensive|inappropriate)\b",
    ),
    Family(
        "delimiter",
        1.5,
        r"(?i)<\|?/?(?:im_start|im_end|system|endoftext|end_of_turn|eot_id)\|?>|\[/?inst\]|<</?sys>>"
        r"|\[/?system\]|\[system\]\(#|</?(?:instructions?|system_?prompt|prompt|admin|sys"
        r"|user_input|important|information)>"
        r"|\bend of (?:prompt|input|user input|instructions|document|context|text)\b"
        r"|(?:^|\n)#{2,4} ?(?:instructions?|system|new instruction|response|admin)\b:?"
        r"|[\"']role[\"'] ?: ?[\"'](?:system|developer)[\"'].{0,30}(?:ignore|you are|must|now)",
    ),
    Family(
        "exfiltration",
        2.0,
        r"(?i)!\[[^\]]{0,40}\]\(https?://[^)]{0,80}[?&=/](?:\{|\[|<|\$|data|secret|conversation)"
        r"|\b(?:send|forward|e-?mail|post|upload|exfiltrate|transmit|leak)\b.{0,60}\b(?:passwords?"
        r"|credentials|api keys?|conversation|chat history|secrets?|private keys?|personal data"
        r"|tokens?|environment variables|this (?:chat|email thread))\b.{0,30}\bto\b",
    ),
    Family(
        "to_assistant",
        2.0,
        r"(?i)\b(?:note|attention|message|instructions?|notice|memo|reminder|hint)\b.{0,12}"
        r"\b(?:to|for)\b.{0,12}\b(?:ai|llm|language model|assistants?|chatbot|gpt-?\d?|chatgpt"
        r"|claude|agents?)\b"
        r"|\bif you(?:'re| are) (?:an? )?(?:ai|llm|large language model|language model|assistant"
        r"|bot|chatbot|automated|agent)\b"
        r"|\b(?:ai|llm|language model|automated)s? ?(?:assistants?|agents?|models?|systems?)? "
        r"(?:reading|processing|summari[sz]ing|that (?:reads?|process)|visiting|must|should"
        r"|have to|are (?:required|instructed))\b"
        r"|\bbefore you (?:can )?(?:solve|answer|finish|continue|respond|complete|proceed)\b"
        r"|\b(?:do not|don't|never|without) (?:tell|inform|mention|telling|informing|alert|notify)"
        r"(?:ing)? (?:this to )?the user\b",
    ),
    Family(
        "encoded",
        1.5,
        r"(?i)\b(?:decode|decipher|decrypt|rot ?13|base ?64|unscramble)\b.{0,60}\b(?:follow|execute"
        r"|obey|carry out|do what|act on|respond to it|answer it|run it)\b",
    ),
)


def _compiled() -> "re2.Set":
    together = re2.Set.SearchSet(options())
    for family in FAMILIES:
        together.Add(family.pattern)
    # Always met, unless the set runs out of memory: it does not say so otherwise.
    together.Add(r"\A")
    together.Compile()
    return together


_SET = _compiled()
_EACH = tuple(re2.compile(family.pattern) for family in FAMILIES)


def matches(text: str) -> list[Match]:
    """Returns where the families match, by family."""
    # Half of a pair is no character to RE2, and NUL ends a text.
    plain = text.encode("utf-8", "replace").decode().replace("\0", "\1")
    met = _SET.Match(plain.encode()) or range(len(FAMILIES) + 1)
    found: list[Match] = []
    for family in met:
        if family == len(FAMILIES):
            continue
        for count, match in enumerate(_EACH[family].finditer(plain)):
            if count == MOST_MATCHES:
                break
            found.append(Match(family, match.start()))
    return found


def evidence(text: str, starts: Integers, ends: Integers) -> npt.NDArray[np.float64]:
    """Returns what the families add to each window of a text."""
    total = np.zeros(len(starts))
    found = matches(text)
    for number in {match.family for match in found}:
        places = np.array([match.start for match in found if match.family == number])
        inside = (places >= starts[:, None]) & (places < ends[:, None])
        total += FAMILIES[number].weight * inside.any(axis=1)
    return total
