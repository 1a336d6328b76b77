"""What source code is told by: forms that a language has and prose does not."""

# ruff: noqa: E501 - an expression broken over lines is harder to read

from typing import NamedTuple

OTHER = "other"
"""A fenced block in a language that is not among these."""

LABELS = {
    "python": "py python3 py3 ipython pycon",
    "javascript": "js jsx node mjs",
    "typescript": "ts tsx",
    "sql": "mysql postgres postgresql psql sqlite tsql plsql",
    "shell": "sh bash zsh fish console shell-session terminal",
    "powershell": "ps1 pwsh",
    "html": "xhtml htm vue svelte",
    "css": "scss sass less",
    "java": "",
    "c": "h",
    "cpp": "c++ cc cxx hpp",
    "csharp": "cs c#",
    "go": "golang",
    "rust": "rs",
    "php": "",
    "ruby": "rb",
    "kotlin": "kt",
    "swift": "",
}
"""The languages, with what else a fence calls them."""

NO_CODE = frozenset(
    {
        "text", "txt", "plain", "plaintext", "markdown", "md", "output", "log",
        "csv", "tsv", "json", "jsonc", "json5", "jsonl", "yaml", "yml",
        "toml", "ini", "xml", "diff", "mermaid", "latex", "tex", "math",
        "email", "http", "quote", "none",
    }
)  # fmt: skip
"""Labels of fences that hold no source code."""


class Cue(NamedTuple):
    """A form that speaks for a language.

    Attributes:
        language: which.
        weight: how surely a text that has nothing but this holds code of the language, 0 to 1.
        pattern: an expression of RE2.
    """

    language: str
    weight: float
    pattern: str


_NAME = r"[A-Za-z_]\w*"
_SQL_NAME = r"[\w.\"\x60\[\]]+"

_FORMS: dict[str, tuple[tuple[float, str], ...]] = {
    "python": (
        (0.8, rf"^[ \t]*(?:async )?def {_NAME}\([^\n]*\)(?: *->[^:\n]+)?:"),
        (0.6, rf"^[ \t]*class {_NAME}(?:\([^)\n]*\))?:[ \t]*$"),
        (0.6, r"^[ \t]*from [\w.]+ import [\w*(][\w*, ()]*$"),
        (0.5, r"^[ \t]*import [a-z][\w.]*(?: as \w+)?$"),
        (0.5, r"^[ \t]*(?:for [\w, ]+ in [^\n]+|while [^\n]*[\w)]|elif [^\n]+|try|except(?: [\w.]+"
         r"(?: as \w+)?)?|if __name__ ==[^\n]+|with [^\n]+ as \w+):[ \t]*$"),
        (0.4, r"\bself\.\w+ ?[=.(]"),
        (0.45, r"(?:^|[ \t;])print\([^\n]*\)[ \t]*$"),
        (0.4, r"\blambda(?: \w+(?:, ?\w+)*)?: ?[\w(]"),
        (0.4, r"\[[^\[\]\n]+ for \w+ in [^\[\]\n]+\]"),
        (0.9, r"^#!.*\bpython"),
        (0.6, r"^>>> \S"),
        (0.4, rf"^[ \t]*@{_NAME}(?:\.\w+)*(?:\([^\n]*\))?$"),
    ),
    "javascript": (
        (0.6, r"^[ \t]*(?:export )?(?:const|let|var) (?:\w+|\{[^}\n]*\}|\[[^\]\n]*\]) ?= ?\S"),
        (0.6, r"\([\w, {}:=.]*\) => ?[{(\w]"),
        (0.4, r"\b\w+ => ?[{(\w]"),
        (0.6, r"\bfunction\*? ?\w*\([\w, {}=.]*\) ?\{"),
        (0.7, r"\bconsole\.(?:log|error|warn|info|debug)\("),
        (0.8, r"^[ \t]*import (?:[\w*{][^\n]*? from )?['\"][^'\"\n]+['\"];?[ \t]*$"),
        (0.7, r"\brequire\(['\"][\w./@-]+['\"]\)"),
        (0.6, r"\bdocument\.(?:getElementById|querySelector|createElement|cookie|write|body)\b"),
        (0.5, r"\.(?:addEventListener|innerHTML|then)\b ?[(=]"),
        (0.35, r"[\w)] ?[!=]== ?\S"),
        (0.7, r"\bmodule\.exports\b|^[ \t]*export default "),
        (0.4, r"\bawait \w+(?:\.\w+)*\("),
        (0.5, r"\bJSON\.(?:parse|stringify)\("),
    ),
    "typescript": (
        (0.6, r"\w\??: ?(?:string|number|boolean|any|unknown|void|never)(?:\[\])?[;,)= ]"),
        (0.5, r"^[ \t]*(?:export )?interface \w+(?:<[^>\n]*>)?(?: extends [\w, ]+)? ?\{"),
        (0.6, r"^[ \t]*(?:export )?type \w+(?:<[^>\n]*>)? = [\w{(\[\"']"),
        (0.6, r"^[ \t]*(?:private|public|readonly) \w+\??: \w"),
    ),
    "sql": (
        (0.85, rf"(?i)\bselect\s+(?:distinct\s+|top\s+\d+\s+)?(?:\*|count\(|\w+\()[^;]{{0,300}}?"
         rf"\sfrom\s+{_SQL_NAME}"),
        (0.75, rf"\bSELECT\s+[^;]{{1,300}}?\sFROM\s+{_SQL_NAME}"),
        (0.8, rf"(?i)\bselect\s+[^;.!?]{{1,300}}?\sfrom\s+{_SQL_NAME}\s+(?:\w+\s+)?"
         r"(?:where\s+[\w.\"]+\s*(?:[=<>!]|like\b|in\s*\(|is\b)|(?:inner |left |right )?join\s+\w+"
         r"|group\s+by\b|order\s+by\b|limit\s+\d)"),
        (0.85, rf"(?i)\binsert\s+into\s+{_SQL_NAME}\s*(?:\([^)]*\)\s*)?(?:values\s*\(|select\s)"),
        (0.8, rf"(?i)\bupdate\s+{_SQL_NAME}\s+set\s+{_SQL_NAME}\s*="),
        (0.7, rf"(?i)\bdelete\s+from\s+{_SQL_NAME}\s*(?:where\s+{_SQL_NAME}\s*[=<>!]|;)"),
        (0.8, rf"(?i)\b(?:create|alter|drop|truncate)\s+(?:or\s+replace\s+|temp(?:orary)?\s+|unique\s+)?"
         r"(?:table|view|index|database|schema|function|procedure|trigger)\s+"
         rf"(?:if\s+(?:not\s+)?exists\s+)?{_SQL_NAME}\s*(?:\(|;|as\s+select|add\s+column|rename\s+to)"),
        (0.7, rf"(?i)\b(?:create|alter)\s+(?:user|role)\s+{_SQL_NAME}\s+(?:identified|with|password)\b"),
        (0.55, r"\b(?:DROP|TRUNCATE) (?:TABLE|DATABASE|SCHEMA|INDEX|VIEW) \w+"),
        (0.6, r"(?i)\bunion\s+(?:all\s+)?select\s"),
        (0.4, r"\b(?:GROUP|ORDER) BY \w+|\b(?:LEFT|INNER|RIGHT|CROSS)(?: OUTER)? JOIN \w+"),
    ),
    "shell": (
        (0.9, r"^#!.*/(?:env )?(?:ba|z|da|k)?sh\b"),
        (0.6, r"^[ \t]*(?:[$#] |sudo )*(?:apt(?:-get)? (?:-\w+ )?(?:install|update|upgrade)"
         r"|(?:python3? -m )?pip3? install|npm (?:install|run|i|ci)|npx \S|yarn (?:add|install)"
         r"|brew install|docker(?:-compose)? (?:run|build|exec|compose|pull|push|ps|up)|kubectl \w"
         r"|git (?:clone|commit|push|pull|checkout|add|merge|rebase|init|status|log|fetch)"
         r"|curl (?:-|https?:)|wget (?:-|https?:)|chmod (?:[-+]|[ugoa]\+|\d{3})|chown \w+:"
         r"|rm -[rfi]+ |mkdir -p|cp -\w|export [A-Z_]+=|systemctl \w|ssh (?:-|\S+@)|tar -?[xc]\w*f"
         r"|ls -\w|grep -\w|sed -\w|awk '|find [./~]\S* -|cat [./~]\S|nc -\w|echo \"?\$)"),
        (0.6, r"\| ?(?:grep|awk|sed|sort|uniq|head|tail|xargs|wc|tee|sh|bash|jq|cut|less)\b(?: -|$| [\"'\w])"),
        (0.5, r"^[ \t]*(?:if \[{1,2} [^\n]* \]{1,2}; ?then|fi|done|esac|while read [^\n]*; ?do)[ \t]*$"),
        (0.5, r"\b2>&1\b|>{1,2} ?/dev/null|<<-?'?EOF"),
        (0.45, r"\$\((?:cat|ls|pwd|date|which|curl|echo|whoami|id|find|git)\b"),
        (0.3, r"\"\$\{?\w+\}?\"| && \w+"),
    ),
    "powershell": (
        (0.7, r"\b(?:Get|Set|New|Remove|Invoke|Start|Stop|Import|Write|Add|Test|Out|Select|Where|ForEach)"
         r"-(?:Item|Object|Content|Process|Service|Host|Output|Module|Path|ChildItem|WebRequest"
         r"|RestMethod|Expression|Command|ADUser|Variable|Job|Null|File|Error|Location|Date)\b"),
        (0.4, r"^[ \t]*\$\w+ = (?:@|\$|\[|Get-|New-)"),
        (0.4, r" -(?:eq|ne|like|match|gt|lt) [\$\"'\d]|\$_\.\w"),
    ),
    "html": (
        (0.95, r"(?i)<!doctype html"),
        (0.6, r"(?i)</(?:html|head|body|div|span|p|a|ul|ol|li|table|script|style|form|h[1-6]|button"
         r"|td|tr|section|nav|footer|title|iframe|svg)>"),
        (0.6, r"(?i)<(?:div|span|a|img|input|form|script|link|meta|table|button|iframe|svg|html|p|td)"
         r"(?:\s+[\w:@-]+=(?:\"[^\"<>]*\"|'[^'<>]*'))+\s*/?>"),
    ),
    "css": (
        (0.4, r"^[ \t]*[.#][\w-]+(?:[ ,>+:.#]+[\w-]+)* ?\{[ \t]*$"),
        (0.5, r"(?:margin|padding|background|color|font-size|font-family|display|width|height|border"
         r"|position)(?:-\w+)*: ?[^;\n{}]{1,60};"),
        (0.6, r"^[ \t]*@(?:media|import|keyframes|font-face)\b[^{;\n]*[{;]"),
        (0.4, r"^[ \t]*(?:body|html|h[1-6]|ul|li|div|span|table|a|p)(?:[ ,:.>]+[\w-]+)* ?\{"),
    ),
    "java": (
        (0.95, r"\bpublic static void main ?\("),
        (0.85, r"\bSystem\.(?:out|err)\.print"),
        (0.85, r"^[ \t]*import (?:static )?(?:java|javax|org|com|io)\.[\w.*]+;"),
        (0.7, r"^[ \t]*package [\w.]+;"),
        (0.7, r"@Override\b|\bimplements \w+ ?\{"),
        (0.5, r"\b(?:public|private|protected) (?:static |final |abstract )*(?:class|interface|enum|void"
         r"|int|long|boolean|String|List<\w+>|[A-Z]\w*) \w+ ?[({;=]"),
        (0.6, r"\b(?:ArrayList|HashMap|StringBuilder|Scanner|Optional|Stream)\b(?:<[\w, ]*>|\.|\()"),
        (0.5, r"\b(?:String|int|boolean|double)(?:\[\])? \w+ = [^;\n]+;"),
    ),
    "c": (
        (0.8, r"^[ \t]*# ?include ?(?:<\w+(?:/\w+)*\.h>|\"[\w./]+\.h\")"),
        (0.6, r"\bint main ?\((?:void|int argc[^)\n]*)?\)"),
        (0.55, r"\b(?:malloc|calloc|realloc|memcpy|strcpy|strncpy|strlen|scanf|fprintf|snprintf|sizeof)"
         r" ?\([^)\n]"),
        (0.45, r"\bprintf ?\(\""),
        (0.5, r"^[ \t]*# ?(?:define \w+|ifn?def \w+|endif)\b"),
        (0.6, r"\btypedef (?:struct|enum|union|unsigned|int)\b|\bstruct \w+ ?(?:\{|\*)"),
        (0.45, r"\b(?:char|int|void|float|double|size_t|uint\d+_t) ?\*+ ?\w+ ?[=;,)\[]"),
        (0.4, r"^[ \t]*(?:unsigned |static |const )*(?:int|char|float|double|long|size_t) \w+(?:\[\w*\])?"
         r"(?: ?=[^;\n]+)?;"),
        (0.4, r"\bfor ?\((?:int |size_t )?\w+ ?= ?\w+; ?\w+ ?[<>]=? ?[\w.()]+; ?\w*(?:\+\+|--)"),
    ),
    "cpp": (
        (0.9, r"^[ \t]*# ?include ?<(?:iostream|vector|string|map|set|memory|algorithm|unordered_map"
         r"|fstream|sstream|queue|stack|utility|thread|mutex|functional|cmath|cstdio|cstdlib)>"),
        (0.85, r"\bstd::\w+"),
        (0.85, r"\bcout ?<<|\bcin ?>>"),
        (0.85, r"\busing namespace \w+;"),
        (0.6, r"\btemplate ?<(?:typename|class)\b|\bnullptr\b|\b(?:public|private): *$"),
    ),
    "csharp": (
        (0.7, r"^[ \t]*using (?:static )?[A-Z]\w*(?:\.\w+)*;"),
        (0.85, r"\bConsole\.(?:Write|Read)(?:Line)?\("),
        (0.5, r"^[ \t]*namespace [A-Z][\w.]*[ \t]*[{;]?[ \t]*$"),
        (0.6, r"\bpublic (?:async Task|override \w+|string|static void Main|partial class|sealed class)\b"),
        (0.85, r"\{ get; (?:private |internal |protected )?(?:init|set)?;? ?\}"),
    ),
    "go": (
        (0.6, r"^package [a-z]\w*$"),
        (0.8, r"^func (?:\(\w+ \*?\w+(?:\[\w+\])?\) )?\w+(?:\[[^\]\n]*\])?\("),
        (0.5, r"^[ \t]*\w+(?:, ?\w+)* := \S"),
        (0.8, r"\bfmt\.(?:Print|Sprint|Fprint|Errorf)"),
        (0.9, r"\bif err != nil\b"),
        (0.6, r"\bgo func\(|\bmake\((?:chan|map|\[\])|^[ \t]*defer \w[\w.]*\("),
        (0.5, r"^type \w+ (?:struct|interface) ?\{"),
    ),
    "rust": (
        (0.8, r"\bfn \w+(?:<[^>\n]*>)?\([^)\n]*\)(?: ?-> ?[^{\n]+)? ?(?:\{|$)"),
        (0.85, r"\blet mut \w+"),
        (0.8, r"\b(?:println|eprintln|vec|panic|format|assert_eq|todo)!\s?[(\[]"),
        (0.6, r"^[ \t]*(?:unsafe )?impl(?:<[^>\n]*>)? \w[\w<>:, ]*(?: for \w[\w<>]*)? ?\{"),
        (0.85, r"^[ \t]*(?:pub )?use (?:std|crate|super|self)::"),
        (0.9, r"#\[(?:derive|cfg|test|tokio::main)\b"),
        (0.6, r"\bpub (?:fn|struct|enum|mod|trait) \w+"),
    ),
    "php": (
        (0.95, r"<\?php\b"),
        (0.6, r"\$\w+->\w+"),
        (0.5, r"^[ \t]*\$\w+ = [^;\n]+;"),
        (0.6, r"\becho \$\w+|\bfunction \w+\((?:\w+ )?\$\w+|\$_(?:GET|POST|SERVER|SESSION|REQUEST)\["),
    ),
    "ruby": (
        (0.6, r"^[ \t]*def (?:self\.)?\w+[?!]?(?:\([^)\n]*\))?[ \t]*$"),
        (0.3, r"^[ \t]*end[ \t]*$"),
        (0.5, r"^[ \t]*puts [\"'\w#]"),
        (0.8, r"\bdo \|\w+(?:, ?\w+)*\|"),
        (0.6, r"^[ \t]*require(?:_relative)? ['\"][\w/.-]+['\"][ \t]*$"),
        (0.85, r"^[ \t]*attr_(?:accessor|reader|writer) :"),
        (0.4, r"^[ \t]*(?:module|class) [A-Z]\w*(?: < [A-Z][\w:]*)?[ \t]*$"),
    ),
    "kotlin": (
        (0.8, r"\bfun (?:<[^>\n]*> )?(?:\w+\.)?\w+\([^)\n]*\)(?:: ?\w[\w<>?]*)? ?[={]"),
        (0.5, r"^[ \t]*va[lr] \w+(?:: ?\w[\w<>?]*)? = \S"),
        (0.8, r"\bdata class \w+\("),
    ),
    "swift": (
        (0.6, r"\bfunc \w+(?:<[^>\n]*>)?\([^)\n]*\w+: [^)\n]*\)(?: throws)?(?: -> ?[^{\n]+)? ?\{"),
        (0.85, r"\bguard let \w+ = |\bif let \w+ = \w"),
        (0.9, r"^[ \t]*import (?:UIKit|SwiftUI|Foundation|Combine)$"),
    ),
}  # fmt: skip

CUES = tuple(
    Cue(language, weight, f"(?m:{pattern})")
    for language, forms in _FORMS.items()
    for weight, pattern in forms
)

LANGUAGES = (*LABELS, OTHER)

BY_LABEL = {
    label: language for language, others in LABELS.items() for label in (language, *others.split())
}
