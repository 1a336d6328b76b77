"""What is written like a telephone number, or named as one, whether or not one was given out."""

from presidio_analyzer import Pattern

EXTENSION = r"(?:[ ,;]{0,2}(?:x|ext\.?|extension)[ :.]{0,2}\d{1,6}(?![-. ]?\d))?"

DATE = (
    r"(?:(?:19|20)\d\d[-/. ](?:0\d|1[0-2])\b"
    r"|\d{1,2}[-/.]\d{1,2}[-/.](?:(?:19|20)\d\d\b|\d\d(?![ .()/-]{0,2}\d)))"
)
IP_ADDRESS = r"\d{1,3}(?:\.\d{1,3}){3}(?![.\d])"
DECIMAL = r"\d+\.\d{5,}(?![ .()/-]?\d)"
THOUSANDS = r"(?:[1-9]\d?(?:[ .]\d{3}){2,}|[1-9]\d{2}(?:[ .]\d{3})*[ .]000)\b"

NUMBER = (
    rf"(?!{DATE}|{IP_ADDRESS}|{DECIMAL})"
    rf"\+?\(?\d(?:[ .()/-]{{0,2}}\d){{6,14}}{EXTENSION}(?!\w|[-./:]?\d)"
)

NAME = (
    r"(?:(?<!\bi)(?<!micro)(?<!head)phone|(?<![^\W_])(?:mobile|cell(?:ular)?|fax|tel|whatsapp"
    r"|landline|hotline|pager|t[e\u00e9]l[e\u00e9]phone|telefone?|tel[e\u00e9]fono|telefon(?:nummer)?"
    r"|rufnummer|handy|m[o\u00f3]vil|celular|portable))"
    r"(?:s?[ _-]?(?:number|num|no\.?|nr\.?))?"
)
"""Also inside `phone_number` and `homePhone`."""

CALL = (
    r"\b(?:call(?:s|ed|ing)?|dial(?:led|ed|ing)?|ring|reach(?:ed|able)?|text(?:s|ed|ing)?|sms"
    r"|phon(?:e|ed|ing)|messages?|answer(?:s|ed|ing)?|contact(?:ed|able)?|fax(?:ed)?|whatsapp)"
    r"(?: (?:me|us|him|her|them|you|back|now|today|directly|anytime)){0,3}"
    r" (?:at|on|to|via|under):? "
)

PHONES = [
    Pattern(
        "International",
        rf"(?<![\w+])\+[1-9](?:[ .()-]{{0,2}}\d){{7,14}}{EXTENSION}(?!\w)",
        0.5,
    ),
    Pattern(
        "North American grouping",
        r"(?<![\w.+-])(?:(?:\+?|00)1[-. ]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}"
        rf"{EXTENSION}(?!\w|[-.]\d)",
        0.5,
    ),
    Pattern("British mobile", r"(?<![\w.+-])07\d{3}[ -]\d{3}[ -]?\d{3}(?![\w-]|\.\d)", 0.5),
    Pattern("Five pairs", r"(?<![\w.+-])0[1-9]([ .-])\d\d(?:\1\d\d){3}(?!\w|[-. ]\d)", 0.5),
    Pattern("Ends in pairs", r"(?<![\w.+-])0[1-9]\d{1,2} \d{2,3} \d\d \d\d(?!\w|[-. ]\d)", 0.5),
    Pattern("After its name", rf"{NAME}\W{{1,6}}?(?:(?:is|at|on|to|was)\W{{1,3}})?\K{NUMBER}", 0.5),
    Pattern(
        "After a verb",
        rf"{CALL}\K(?=[+(]?\d+[ .()/-])(?!{THOUSANDS}){NUMBER}",
        0.5,
    ),
]
"""Personal even when no such number was ever given out."""
