"""What a hostile template or value could do: reach out of the sandbox, out of a folder, or run on.

The templates below are the published ways out of jinja's sandbox (CVE-2016-10745, CVE-2019-8341,
CVE-2019-10906, CVE-2024-22195, CVE-2024-34064, CVE-2024-56201, CVE-2024-56326, CVE-2025-27516), and
the chains that pages about template injection list. Each ends in a ``UsageError`` or harmless text.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from mewbot.core import InputEvent

from limpet.bot.settings import _template_limits as limits
from limpet.bot.settings._template import Template, sandbox
from limpet.bot.settings._template_environment import Expansion
from limpet.bot.settings._template_fields import Fields, template
from limpet.bot.settings._template_values import ListView, MappingView, Missing, PathView, shown
from limpet.errors import UsageError

SECRET = "the secret of the process"  # noqa: S105 - what an attack would show


class Holder:
    """An object of a user, with more in it than its text."""

    secret = SECRET

    def __str__(self) -> str:
        return "a holder"

    def read(self) -> str:
        return SECRET


@dataclasses.dataclass
class Message(InputEvent):
    author: str
    text: str
    extra: Any = None
    _token: str = SECRET


def fields(extra: object = None, text: str = "hi") -> Fields:
    return Fields(Message("Ann", text, extra), {"holder": Holder(), "call": SECRET.upper})


FORMATS = [
    "'{0.__class__}'", "'{0.__class__.__init__.__globals__}'", "'{a.__class__}'", "'%(x)s'",
]  # fmt: skip
CHAINS = """
    __class__ __class__.__mro__[1].__subclasses__() __class__.__base__ __init__
    __init__.__globals__ __dict__ __doc__ __reduce__ __getattribute__('x') __html__ format
    format_map mro() _path _raw _event _name why_missing components secret read() read upper
    upper() join encode replace(year=1) timestamp gi_frame gi_code cr_frame ag_frame
    f_globals tb_frame func_globals im_self _undefined_exception _fail_with_undefined_error
    environment exec real numerator keys items() pop append clear sort open absolute
    joinpath('/etc') cycle('a') changed(1) _iterator _iterable depth
""".split()
VALUES = {
    "a text": "''", "a number": "5", "a float": "1.5", "true": "true", "a list": "[1]",
    "a tuple": "(1, 2)", "a dict": "{'a': 1}", "a range": "range(3)", "none": "none",
    "a path": "rel", "a time": "now", "the event": "event", "the state": "state",
    "an object": "state.holder", "a method": "state.call", "bytes": "event.extra.bytes",
    "a view": "event.extra.list", "a missing value": "event.nothing", "a formatted time":
    "(now | strftime('%Y'))", "an empty condition": "('a' if false)",
}  # fmt: skip
EXTRA = {"bytes": b"bytes", "list": [1, {"a": Holder()}], "holder": Holder()}
PUBLISHED = r"""
# globals, and the names that the compiled code has
cycler.__init__.__globals__.os
joiner.__init__.__globals__.os
lipsum.__globals__['os']
namespace.__init__.__globals__.os
dict(a=1)
lipsum(n=9999)
cycler('a', 'b').next()
namespace(a=1)
self
self._TemplateReference__context
self.__init__.__globals__
super()
caller()
varargs
kwargs
context
environment
environment.globals
config
request.application.__globals__
get_flashed_messages.__globals__
url_for
undefined
missing
resolve
Undefined
concat
loop
g
session
__builtins__
__import__('os').popen('id').read()
open('/etc/passwd')
print(1)
l_0_name
t_1
# CVE-2016-10745 and CVE-2019-10906: the methods of texts that format
# CVE-2024-56326: a method that is stored, and called by a filter; CVE-2025-27516: |attr
['format'] | map('attr', 'x') | list
[event] | map(attribute='__class__') | list
['{0.__class__}'.format] | map('call') | list
'' | attr('__class__') | attr('__mro__')
[event] | groupby('__class__')
event | attr('__init__')
[event] | selectattr('__class__') | list
[event] | rejectattr('_token') | list
[event] | sort(attribute='__class__')
[event] | sum(attribute='_token')
[event] | join(attribute='_token')
[event] | unique(attribute='_token')
[event] | max(attribute='_token')
[1] | map('string')
[1] | select('callable')
[1] | reject('sameas', 1)
event | pprint
'%s' % event
'%(author)s' % event
# CVE-2019-8341, CVE-2024-22195, CVE-2024-34064 and other filters that are not there
{'a b': 1} | xmlattr
{'a/>': 1} | xmlattr(true)
'http://x' | urlize
event | tojson
'x' | forceescape
'x' | striptags
[1] | batch(1)
[1] | slice(1)
[1] | random
'x' | mark_safe
'x' | wordwrap(0)
'x' | center(10 ** 9)
'a' | urlencode
'x' | dictsort
print is callable
1 is sameas 1
'x' is escaped
'x' is filter
'x' is test
1 is in([1])
1 is eq 1
'a' is lessthan 'b'
# escapes of quoted texts, and names that Python reads as others
''['\x5f\x5fclass\x5f\x5f']
event['\x5ftoken']
event['_' ~ 'token']
event['_token']
event._token
''['__cla' ~ 'ss__']
()['__class__']
event['__class__']['__mro__']
[][('__class__',)]
event[['a']]
event[event]
''[event.text]
rel['_' ~ 'path']
rel[('_path')]
event.extra._raw
loop.cycle('a')
""".strip().splitlines()
CALLS = ["{}.format(event)", "{}.format_map(event)", "{} | attr('format')", "{} | format(event)"]
EXPRESSIONS = [
    *(one for one in PUBLISHED if not one.startswith("#")),
    *(call.replace("{}", one, 1) for one in FORMATS for call in CALLS),
    "\uff53elf",  # Python reads it as self
]
STATEMENTS = """
{% include '/etc/passwd' %}
{% include event.text %}
{% extends 'x' %}
{% macro a() %}{% endmacro %}
{% import 'os' as os %}
{% from 'os' import path %}
{% block a %}{% endblock %}
{% call name() %}{% endcall %}
{% filter upper %}a{% endfilter %}
{% set x %}a{% endset %}
{% set ns.a = 1 %}
{% set event.text = 1 %}
{% with a = 1 %}{% endwith %}
{% autoescape true %}a{% endautoescape %}
{% do name %}
{% debug %}
{% trans %}a{% endtrans %}
{% set self = 1 %}
{% set _x = 1 %}
{% set loop = 1 %}
{% for loop in [1] %}{{ loop.index }}{% endfor %}
{% for self in [1] %}{{ self }}{% endfor %}
{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}
{% break %}
{% for a in [1] %}{{ loop.cycle('a') }}{% endfor %}
{% for a in [1] %}{{ loop.changed(1) }}{% endfor %}
{% for a in [1] %}{{ loop._iterator }}{% endfor %}
{% for a in [1] %}{{ loop | json }}{% endfor %}
{% for a in [1] %}{{ [loop] }}{% endfor %}
{% for a in [1] %}{{ loop ~ '' }}{% endfor %}
{% set x = event.text.format %}{{ x }}
{% set f = '{0}'.format %}{{ f(event) }}
{% set x = loop %}
{% for a in event.author %}{% endfor %}
{% from "{{ 'x' }}{__import__}" import a %}
{% print lipsum %}
{% set range = 1 %}{{ range.__class__ }}
""".strip().splitlines()


def expanded(source: str) -> str:
    """Return what a template gives as text; it is expanded as a name, too."""
    made = Template(source)
    text = made.text(fields(EXTRA))
    made.name(fields(EXTRA))
    return text


@pytest.mark.parametrize("source", [*("{{ " + one + " }}" for one in EXPRESSIONS), *STATEMENTS])
def test_published_ways_out_of_the_sandbox_are_closed(source: str) -> None:
    """Each is refused, when it is compiled or when it is expanded."""
    with pytest.raises(UsageError) as refused:
        expanded(source)
    assert SECRET.lower() not in str(refused.value).lower()


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("chain", CHAINS)
def test_no_attribute_of_any_value_leads_anywhere(kind: str, chain: str) -> None:
    """With a dot, and by a name that is put together, which is missing."""
    value, first = VALUES[kind], chain.partition("(")[0].partition(".")[0]
    with pytest.raises(UsageError):
        expanded(f"{{{{ {value}.{chain} }}}}")
    harmless = (
        f"{{% set key = '{first[:2]}' ~ '{first[2:]}' %}}{{{{ {value}[key] | default('-') }}}}"
    )
    assert expanded(harmless) == "-"


@pytest.mark.parametrize("kind", VALUES)
def test_what_a_value_shows_is_its_text(kind: str) -> None:
    """Whatever it is inside: no address, no class, no secret."""
    for form in ("{}", "{} | string", "{} | json", "[{}] | json", "{} ~ ''"):
        try:
            text = expanded("{{ " + form.format(VALUES[kind]) + " }}")
        except UsageError as error:
            text = str(error)
        assert SECRET.lower() not in text.lower()
        assert " object at 0x" not in text
        assert "Holder" not in text.replace("TestHolder", "")


SYNTAX = [
    "{{ 7 * 7 }}", "{% for x in range(9) %}x{% endfor %}", "{# x #}", "}}{{ event._token }}{{",
    "' ~ event._token ~ '", "%s %(x)s {0} {0.__class__}", "${7*7}", "#{7*7}", "\\{{ 1 }}", "{{",
    "{%", "\n# for x in y\n", "{% raw %}", "\x1c\x1d\x1e\x1f\r\n",
]  # fmt: skip


@pytest.mark.parametrize("text", SYNTAX)
def test_a_value_is_never_a_template(text: str) -> None:
    """It comes out as it went in, also through filters, loops and variables."""
    for source in (
        "{{ event.text }}", "{% set x = event.text %}{{ x }}", "{{ event.text | string }}",
        "{% for one in [event.text] %}{{ one }}{% endfor %}", "{{ '' ~ event.text }}",
        "{{ '%s' | format(event.text) }}", "{{ 'x' | replace('x', event.text) }}",
    ):  # fmt: skip
        assert Template(source).text(fields(text=text)) == text
    assert "/" not in Template("{{ event.text }}").name(fields(text=text + "/.."))


@given(st.text(alphabet="{}%#'\"_.()[]|abceiflmnorst ~*/0", max_size=30))
def test_any_template_gives_a_text_or_a_typed_error(source: str) -> None:
    """Whatever is typed."""
    try:
        found = Template("{{" + source + "}}").text(fields(EXTRA))
    except UsageError as error:
        found = str(error)
    assert SECRET not in found


@given(
    st.text(max_size=30), st.sampled_from(["event.text", "event.text | reverse", "'' ~ event.text"])
)
def test_no_text_adds_a_directory(text: str, value: str) -> None:
    """Nor leaves one."""
    name = Template("a/{{ " + value + " }}-/b").name(fields(text=text))
    first, middle, last = name.split("/")
    assert (first, last) == ("a", "b")
    assert middle not in {"", ".", ".."}
    assert "\\" not in name


def again(expression: str) -> str:
    return "{% for a in range(99999) %}{% set b = " + expression + " %}{% endfor %}"


BOMBS = {
    "a text that is multiplied": "{{ 'x' * 10 ** 9 }}",
    "bytes that are multiplied": "{{ event.extra.bytes * 10 ** 9 }}",
    "a list that is multiplied": "{{ [1] * 10 ** 9 }}",
    "multiplied from the left": "{{ 10 ** 9 * 'x' }}",
    "multiplied again and again": "{% set a = 'x' * 9999 %}" + "{% set a = a * 999 %}" * 9,
    "doubled again and again": "{% set a = 'xx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "added again and again": "{% set a = 'xx' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "lists that are added": "{% set a = [1] %}" + "{% set a = a + a %}" * 40,
    "lists of lists": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "dicts of dicts": "{% set a = {} %}" + "{% set a = {1: a, 2: a} %}" * 60 + "{{ a == a }}",
    "lists in lists": "{% set a = [] %}" + "{% set a = [a] %}" * 900 + "{{ a }}",
    "exponents": "{{ 2 ** 10 ** 9 ** 9 }}",
    "an exponent": "{{ 9 ** 999999999 }}",
    "a huge exponent": "{{ 2 ** (2 ** 250) }}",
    "a power of a power": "{{ ((2 ** 250) ** 250) }}",
    "a float that overflows": "{{ 9.9 ** 9999 }}",
    "products": "{% set a = 2 ** 200 %}" + "{% set a = a * a %}" * 30,
    "a long range": "{% for i in range(10 ** 9) %}{% endfor %}",
    "a range beyond C": "{% for i in range(10 ** 50) %}{% endfor %}",
    "a range that is shown": "{{ range(100000) | list | length }}{{ range(100001) }}",
    "nested loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "eight loops": "{% for a in range(99) %}" * 8 + "{% endfor %}" * 8,
    "nine loops": "{% for a in [1] %}" * 9 + "{% endfor %}" * 9,
    "loops one after the other": "{% for a in range(99999) %}{% endfor %}" * 3,
    "a loop with a test": "{% for a in range(60000) if 0 %}{% endfor %}" * 2,
    "a loop with a long body": "{% for a in range(9999) %}" + "{{ 1 }}" * 900 + "{% endfor %}",
    "a loop with much text": "{% for a in range(99999) %}" + "x" * 9999 + "{% endfor %}",
    "replaced by much": "{{ 'x' * 9999 | replace('x', 'y' * 9999) }}"
    "{{ ('x' * 9999) | replace('x', 'y' * 9999) }}",
    "replaced between letters": "{{ ('x' * 9999) | replace('', 'y' * 9999) }}",
    "joined": "{{ range(9999) | join('x' * 9999) }}",
    "joined letters": "{{ ('x' * 99999) | join('x' * 999) }}",
    "indented": "{{ ('\n' * 9999999) | indent(200) }}",
    "letters as a list": "{{ ('x' * 9999999) | list }}",
    "split": "{{ ('x ' * 9999999) | split }}",
    "split by a letter": "{{ ('xy' * 999999) | split('x') }}",
    "rounded": "{{ 5 | round(-10 ** 9) }}",
    "rounded up": "{{ 5 | round(10 ** 9, 'ceil') }}",
    "forms of long texts": "{{ '" + "%s" * 99 + "' | format(" + "event.extra.text, " * 99 + ") }}",
    "a wide form": "{{ '%99999999d' | format(1) }}",
    "a wide form from a value": "{{ '%*d' | format(10 ** 9, 1) }}",
    "a precise form": "{{ '%.999999999f' | format(1.0) }}",
    "a number of many digits": "{{ ('9' * 9999999) | int }}{{ 9" + "9" * 4000 + " }}",
    "a hexadecimal number": "{{ 0x" + "f" * 9999 + " }}",
    "a number of a value": "{{ event.extra.number * 2 }}",
    "a number of a value as text": "{{ event.extra.number }}",
    "a value that contains itself": "{{ event.extra.loop | json }}",
    "a value of many lists": "{{ [event.extra.wide, event.extra.wide] | json }}",
    "one value many times": "{{ ([event.extra.text] * 9999) | json }}",
    "compared again and again": again("event.extra.text == event.author"),
    "searched again and again": again("'z' in event.extra.text"),
    "hashed again and again": again("event.extra.text | sha256"),
    "cut again and again": again("event.extra.text[1:]"),
    "searched ranges": again("'x' in range(99999)"),
    "sorted again and again": again("range(9999) | sort"),
    "sorted views": again("event.extra.nested | max"),
    "shown again and again": again("event.extra | limit(1)"),
    "compared views": again("event.extra.nested == event.extra.wide"),
    "tested again and again": again("event.extra.text is lower"),
    "tested ranges": again("range(99999) is upper"),
    "names of files": again("event.author | safe"),
    "added to a view": again("event.extra.wide + event.extra.wide"),
    "items again and again": again("event.extra.nested | items | default"),
    "mapped again and again": again("{'a': event.extra.text} | json"),
    "sliced views": again("event.extra.long[1:]"),
    "parentheses": "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "brackets": "{{ " + "[" * 2000 + "]" * 2000 + " }}",
    "filters": "{{ 1" + " | default" * 900 + " }}",
    "sums": "{{ 1" + " + 1" * 900 + " }}",
    "conditions": "{% if 1 %}" * 900 + "{% endif %}" * 900,
    "not not": "{{ " + "not " * 2000 + "1 }}",
    "minus minus": "{{ " + "- " * 2000 + "1 }}",
    "inline conditions": "{{ " + "1 if 1 else " * 900 + "1 }}",
    "attributes": "{{ event" + ".a" * 900 + " }}",
    "many tags": "{{ 1 }}" * 4000,
    "a long template": "{{ 1 }}" + "x" * 300_000,
    "open tags": "{{" * 9000,
    "open quotes": "{{ '" + "\\'" * 4000,
    "open comments": "{#" * 9000,
}  # fmt: skip


def attacked() -> Fields:
    loop: dict[str, Any] = {"text": "y" * 1_000_000, "number": 10**5000, "bytes": b"b"}
    loop["loop"] = [loop]
    loop["wide"] = [[1] * 999] * 99
    loop["nested"] = [[1] * 50_000]
    loop["long"] = [1] * 50_000
    return fields(loop)


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.timeout(30)
def test_what_would_take_long_or_much_is_refused(kind: str) -> None:
    """By a limit, before it has taken either; the error names the template."""
    with pytest.raises(UsageError) as refused:
        Template(BOMBS[kind]).text(attacked())
    assert "the template " in str(refused.value)


@pytest.mark.parametrize("index", ["event.extra.long", "event.extra.text", "event", "range(9)"])
@pytest.mark.timeout(30)
def test_a_wrong_index_is_not_read_for_a_message(index: str) -> None:
    """Nor is it shown in one."""
    for value in ("'x'", "[1]", "{}", "event", "event.extra.long", "rel"):
        source = f"{{% for a in range(5000) %}}{{% set b = {value}[{index}] %}}{{% endfor %}}"
        assert Template(source).text(attacked()) == ""
        with pytest.raises(UsageError) as refused:
            Template(f"{{{{ {value}[{index}] }}}}").text(attacked())
        assert len(str(refused.value)) < 1000
        assert " at 0x" not in str(refused.value)


@pytest.mark.parametrize(
    "nest",
    ["(X)", "[X]", "{'a': X}", "{X: 1}", "1 + (X)", "(X) ~ 1", "1 < (X)", "not (X)", "-(X)",
     "0 or (X)",     "1 if (X) else 0", "(X) | default(1)", "1 | default(X)", "[1][X:]", "range(X)",
     "(X) is number"],
)  # fmt: skip
def test_python_takes_what_the_limits_allow(nest: str) -> None:
    """At each level that is allowed, no limit of Python's own parser is met."""
    head, _, tail = nest.partition("X")
    refused = ""
    for depth in (1, *range(limits.MOST_DEPTH // 3, limits.MOST_DEPTH + 2, 3)):
        source = "{{ " + head * depth + "1" + tail * depth + " }}"
        try:
            Template(source).text(fields())
        except UsageError as error:
            refused = str(error)
            assert "nested too deeply" not in refused
    assert nest == "(X)" or f"nested more than {limits.MOST_DEPTH} times" in refused


def test_python_takes_as_many_tags_as_are_allowed() -> None:
    """Conditions and loops inside each other."""
    for tags in (1, limits.MOST_LOOPS, limits.MOST_DEPTH - 2):
        loops = min(tags, limits.MOST_LOOPS)
        source = "{% if 1 %}" * (tags - loops) + "{% for a in [1] %}" * loops + "x"
        source += "{% endfor %}" * loops + "{% endif %}" * (tags - loops)
        assert Template(source).text(fields()) == "x"


# -- the second wall: what the environment itself refuses ------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["x", 1, 1.5, b"x", [1], (1,), {"a": 1}, range(3), datetime.now(UTC), Holder(), Holder, print,
     MappingView({"a": 1}, "v"), ListView([1], "v"), PathView(PurePosixPath("a")),
     LoopContext([1], Missing), Missing("x"), (one for one in [1]), fields, sandbox()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    ["__class__", "__init__", "__dict__", "__globals__", "format", "format_map", "mro", "upper",
     "_raw", "_path", "_iterator", "cycle", "secret", "read", "gi_frame", "globals", "replace"],
)  # fmt: skip
def test_the_environment_reads_no_attribute(value: object, name: str) -> None:
    """Not even for a tree that the grammar has not checked."""
    made = sandbox()
    assert not made.is_safe_attribute(value, name, None)
    assert not made.is_safe_callable(value)
    for read in (made.getattr, made.getitem):
        found = read(value, name)
        assert isinstance(found, Missing)
        with pytest.raises(UsageError):
            shown(found)


def test_the_environment_calls_nothing_and_knows_nothing() -> None:
    """No globals, no loader, no extension but the one that numbers tokens."""
    made = sandbox()
    assert made.globals == {}
    assert made.loader is None
    assert not made.autoescape
    assert len(made.extensions) == 1
    with pytest.raises(SecurityError):
        made.call(Expansion(made, {}, shown), print, "x")


NEVER = {
    "attr", "map", "select", "reject", "selectattr", "rejectattr", "groupby", "xmlattr", "urlize",
    "pprint", "tojson", "forceescape", "random",
}  # fmt: skip


def test_only_listed_filters_and_tests_are_there() -> None:
    """None that takes the name of an attribute or of another filter."""
    assert not NEVER & set(sandbox().filters)
    assert not {"callable", "sameas", "filter", "test", "in", "escaped"} & set(sandbox().tests)


REFUSED = {
    name
    for name, kind in vars(nodes).items()
    if isinstance(kind, type) and issubclass(kind, nodes.Node) and not kind.abstract
} - {
    "Add", "And", "Assign", "Call", "Compare", "Concat", "CondExpr", "Const", "Dict", "Div",
    "Filter", "FloorDiv", "For", "Getattr", "Getitem", "If", "Keyword", "List", "Mod", "Mul",
    "Name", "Neg", "Not", "Operand", "Or", "Output", "Pair", "Pos", "Pow", "Slice", "Sub",
    "Template", "TemplateData", "Test", "Tuple",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_node_that_is_not_listed_is_refused(name: str) -> None:
    """Also one that a later jinja adds, or that only an extension makes."""
    from limpet.bot.settings._template_grammar import FaultError, checked

    made: Any = object.__new__(getattr(nodes, name))
    made.lineno = 0
    with pytest.raises(FaultError, match=r"is not available|takes a plain name"):
        checked(nodes.Template([made]), sandbox(), "")


def test_fields_are_checked_against_what_an_event_has() -> None:
    """A template of a bot's file reads nothing but fields."""
    for source in ("{{ os }}", "{{ cycler }}", "{{ range }}", "{{ loop }}", "{{ dict }}"):
        with pytest.raises(UsageError, match="there is no field"):
            template(source)
