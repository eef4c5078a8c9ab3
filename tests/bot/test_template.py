"""The template language: its results, its errors, and the safety of names."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from mewbot.core import InputEvent

from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import Fields, template, wire_of
from limpet.bot.settings._template_values import MissingFieldError
from limpet.errors import UsageError
from tests.bot.factories import created, renamed


@dataclasses.dataclass
class Message(InputEvent):
    author: str
    text: str
    extra: dict[str, object] = dataclasses.field(default_factory=dict)


class Priority(IntEnum):
    HIGH = 2


STAT = wire_of(created("a"))["stat"]


def fields(event: InputEvent | None = None, **state: object) -> Fields:
    return Fields(event or created("sub/Report 1.tar.gz"), state)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("plain", "plain"),
        ("{{ '{' ~ name ~ '}' }}", "{Report 1.tar.gz}"),
        ("{% raw %}{{ name }}{% endraw %}{# a comment #}", "{{ name }}"),
        ('{"name": {{ name | json }}}', '{"name": "Report 1.tar.gz"}'),
        ("{{rel}} {{stem}} {{suffix}} {{parent}}", "sub/Report 1.tar.gz Report 1.tar .gz sub"),
        ("{{ rel.parent }}/{{ rel.stem }}.md {{ path.suffix }}", "sub/Report 1.tar.md .gz"),
        ("{{ path.parts[-2] }} {{ path.parent.parent.name }} {{ rel['name'] }}",
         "sub in Report 1.tar.gz"),
        ("{{ '%05d' | format(size) }} {{ size }}", "00003 3"),
        ("{{ utc | strftime('%Y-%m-%d') }} {{ utc | strftime('%H:%M') }}", "2025-11-25 12:00"),
        ("{{ utc }}", "2025-11-25T12:00:00Z"),
        ("{{ mtime }}", "1700000000"),
        ("{{ mtime | strftime('%Y') }}", "2023"),
        ("{{ type }} {{ kind }} {{ io }} {{ origin }}", "file.created file inbox live"),
        ("{{ name | upper | limit(3) }}", "REP"),
        ("{{ name | limit(3, '...') }}", "Rep..."),
        ("{{ content | default('none, really') }}", "none, really"),
        ("{% if content is defined %}{{ content }}{% else %}none{% endif %}", "none"),
        ("{{ event.nothing | default('') }}|{{ event.nothing.more | d('x') }}", "|x"),
        ("{{ none | default('x') }} {{ '' | default('x') }} {{ '' | default('x', true) }}", "x  x"),
        ("{{ event.stat.size }} {{ event['stat']['size'] }}", "3 3"),
        ("{{ event.seq }}", "1"),
        ("{{ event.stat | json }}", json.dumps(STAT)),
        ("{{ state.command.output }}", "out"),
        ("{{ name | sha256 | limit(8) }}", "2e43bdc9"),
        ("{{ name | base64 }}", "UmVwb3J0IDEudGFyLmd6"),
        ("{{ name | url }}", "Report%201.tar.gz"),
        ("{{ name | json }}", '"Report 1.tar.gz"'),
        ('{{ name | replace(" ", "}") }}', "Report}1.tar.gz"),
        ("{{ size * 2 + 1 }} {{ size / 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 8 }} {{ -size }}",
         "7 1.5 3 3 256 -3"),
        ("{{ 1.5 }} {{ 2.0 }} {{ true }} {{ 'a' * 3 }} {{ [1] + [2] }}", "1.5 2 True aaa [1, 2]"),
        ("{{ 'big' if size > 2 else 'small' }} {{ 'x' if false }}", "big "),
        ("{% if kind == 'file' and size >= 3 and '.gz' in name and 1 in [1] %}y{% endif %}", "y"),
        ("{% if path == '/srv/in/sub/Report 1.tar.gz' and utc < now %}y{% endif %}", "y"),
        ("{% if size is odd and name is string and event is mapping %}y{% endif %}", "y"),
        ("{% if event.stat == {} %}n{% elif event.origin in ('live',) %}y{% endif %}", "y"),
        ("{% for one in rel.parts %}{{ loop.index }}{{ one }}{{ ' ' ~ loop.last }}{% endfor %}",
         "1sub False2Report 1.tar.gz True"),
        ("{% for i in range(1, 8, 2) if i != 3 %}{{ i }}{% else %}none{% endfor %}", "157"),
        ("{% for k, value in {'b': 1, 'a': 2} | items %}{{ k }}{{ value }}{% endfor %}", "b1a2"),
        ("{% for key in {'b': 1, 'a': 2} | sort %}{{ key }}{% endfor %}", "ab"),
        ("{% set a, b = 1, rel %}{% set c = a + 1 %}{{ c }} {{ b.stem }}", "2 Report 1.tar"),
        ("{% if size > 9 %}{% set x = 1 %}{% endif %}{{ x | default('unset') }}", "unset"),
        ("{% for name in ['loop'] %}{{ name }}{% endfor %} {{ name[:6] }}{{ name[-3:] }}",
         "loop Report.gz"),
        ("a\r\nb\r{{ '\r\n' }}\n", "a\r\nb\r\r\n\n"),
        ("{{ name\r\n | upper }}", "REPORT 1.TAR.GZ"),
        ("{{ event.nothing | default(default_value='x', boolean=true) }}", "x"),
        (" {{- name -}} \n", "Report 1.tar.gz"),
    ],
)  # fmt: skip
def test_what_a_template_expands_to(source: str, wanted: str) -> None:
    """Fields, attributes, filters, tests, operators, tags."""
    assert template(source).text(fields(command={"output": "out"})) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("-3 | abs", "3"), ("'aBC' | capitalize", "Abc"), ("'a<b' | escape", "a&lt;b"),
        ("'a&b' | e", "a&amp;b"), ("[3, 4] | first", "3"), ("[3, 4] | last", "4"),
        ("[] | first | default('x')", "x"), ("'1.5' | float", "1.5"), ("'x' | float(2)", "2"),
        ("'7' | int + 1", "8"), ("7.9 | int", "7"),
        ("7 | float", "7"), ("('9' * 101) | int(1)", "1"), ("rel | length", "19"),
        ("{'k': 1} | first", "k"), ("{'k': 1}[event.x] | d('x')", "x"),
        ("'7.9' | int", "7"), ("'x' | int(3)", "3"),
        ("'ff' | int(base=16)", "255"), ("'9e99999' | int", "0"),
        ("1500 | filesizeformat", "1.5 kB"),
        ("'%s is %.2f%%' | format(name, 1)", "Report 1.tar.gz is 1.00%"),
        ("'a\nb\n\nc' | indent(2)", "a\n  b\n\n  c"), ("'a' | indent(1, true)", " a"),
        ("[1, 'b', rel.parent] | join('-')", "1-b-sub"), ("'abc' | join(',')", "a,b,c"),
        ("'abc' | length", "3"), ("[1, 2] | count", "2"), ("'ab' | list", '["a", "b"]'),
        ("'aB' | lower", "ab"), ("[2, 9, 4] | max", "9"), ("['b', 'A'] | min", "A"),
        ("[] | max | default('none')", "none"), ("'a\nb\x85 ' | one_line", "a b"),
        ("'aaa' | replace('a', 'b', 2)", "bba"), ("'abc' | reverse", "cba"),
        ("[1, 2] | reverse", "[2, 1]"), ("2.567 | round(1)", "2.6"),
        ("2.1 | round(method='ceil')", "3"), ("25 | round(-1, 'floor')", "20"),
        ("'a/b' | safe", "a_b~ubnhh5to3xkbyih7"), ("['b', 'A', 'c'] | sort", '["A", "b", "c"]'),
        ("['b', 'A'] | sort(case_sensitive=true, reverse=true)", '["b", "A"]'),
        ("'a,b' | split(',')", '["a", "b"]'), ("' a  b ' | split", '["a", "b"]'),
        ("5 | string ~ 5", "55"), ("[1, 2.5] | sum", "3.5"), ("'a bC' | title", "A Bc"),
        ("' a ' | trim", "a"), ("'xax' | trim('x')", "a"), ("'ab cd ef' | truncate(6, leeway=0)",
        "ab..."), ("'abcdef' | truncate(5, true, '', 0)", "abcde"), ("'abc' | truncate(1, end='')",
        "abc"), ("['a', 'A', 1, 1] | unique", '["a", 1]'), ("'ß' | upper", "SS"),
        ("'a b-c' | wordcount", "3"), ("[event] | unique | length", "1"),
        ("{'a': none, 'b': [1.0, rel, utc]} | json",
         '{"a": null, "b": [1.0, "sub/Report 1.tar.gz", "2025-11-25T12:00:00Z"]}'),
        ("{1: 'x'}[1] ~ {'k': 'y'}.k", "xy"), ("(1, 2)[1]", "2"), ("event.watch | length", "1"),
        ("6 is divisibleby(3)", "True"), ("6 is even", "True"), ("1.5 is float", "True"),
        ("1 is integer", "True"), ("true is integer", "False"), ("true is boolean", "True"),
        ("true is true", "True"), ("true is false", "False"), ("'a' is lower", "True"),
        ("'A' is upper", "True"), ("none is none", "True"), ("1 is number", "True"),
        ("rel.parts is sequence", "True"), ("event.x is undefined", "True"),
    ],
)  # fmt: skip
def test_filters_and_tests(expression: str, wanted: str) -> None:
    """What each of them gives."""
    assert template(f"{{{{ {expression} }}}}").text(fields()) == wanted


@pytest.mark.parametrize(
    ("source", "column", "expected"),
    [
        ("{{ name", 4, "unexpected end of template"),
        ("{{}}", 3, "expected an expression"),
        ("{{ name | uper }}", 11, "no filter 'uper'; did you mean 'upper'?"),
        ("{{ name }} {{ name | tojson }}", 22, "did you mean 'json'"),
        ("{{ name is strin }}", 9, "no test 'strin'; did you mean 'string'?"),
        ("{{ name | limit }}", 11, "'limit' takes most, end='': missing a required argument"),
        ("{{ name | limit(1, by=2) }}", 11, "unexpected keyword argument 'by'"),
        ("{{ name | limit(*[1]) }}", 11, "takes no * and no **"),
        ("{{ name | upper(**{}) }}", 11, "takes no * and no **"),
        ("{{ size }} {{ naem }}", 15, "no field 'naem'; did you mean 'name'?"),
        ("{{ name | limit(sise) }}", 17, "no field 'sise'; did you mean 'size'?"),
        ("{{ name.stem }}", 4, "'name' has no 'stem'; only paths, event and state have attributes"),
        ("{{ path.stm }}", 4, "'path' has no 'stm'; did you mean 'stem'?"),
        ("{{ utc.year }}", 4, "'utc' has no 'year'; the filter strftime formats it"),
        ("{{ event.__class__ }}", 9, "is private"),
        ("{{ event['_x'] }}", 9, "is private"),
        ("{{ name[1:2, 3] }}", 8, "with one key, not several"),
        ("{{ utc | strftime(form=name) }}", 10, "the form of strftime must be a quoted text"),
        ("{{ _x }}", 4, "no field '_x'"),
        ("{{ name.upper() }}", 14, "nothing is called in a template"),
        ("{{ range() }}", 9, "range takes 1 to 3 numbers"),
        ("{% include 'x' %}", 4, "the tag 'include' is not available"),
        ("{% set x %}a{% endset %}", 4, "'set without =' is not available"),
        ("{% set event.x = 1 %}", 8, "set takes a plain name"),
        ("{% for x in rel.parts recursive %}{% endfor %}", 4, "recursive is not available"),
        ("{{ utc | strftime(name) }}", 10, "the form of strftime must be a quoted text"),
        ("{{ name | format(1) }}", 11, "the form of format must be a quoted text"),
        ("{% if size %}x", 14, "unexpected end of template"),
        ("{% endfor %}", 4, "unknown tag 'endfor'"),
        ("{{ name ? }}", 9, "unexpected char '?'"),
        ("{{ name) }}", 8, "unexpected ')'"),
        ("x {# y", 5, "missing end of comment tag"),
        ("{{ 'x }}", 4, "unexpected char"),
        ("{{ 'a\\x' }}", 4, "truncated"),
        ("{{ " + "9" * 5000 + " }}", 4, "a number has too many digits"),
        ("{{ 1e999 }}", 4, "a number is too large"),
        ("{{ 0x" + "f" * 70 + " }}", 4, "a number has more than 256 bits"),
    ],
)
def test_mistakes_are_reported_when_a_template_is_compiled(
    source: str, column: int, expected: str
) -> None:
    """With the place, in the first line and in another one."""
    for lines in (0, 1, 2):
        with pytest.raises(UsageError) as refused:
            template("é\r\n" * lines + source)
        told = str(refused.value)
        assert f"at line {lines + 1}, column {column}: " in told
        assert expected.lower() in told.lower()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ old_path }}", "has no field 'old_path'"),
        ("{{ content }}", "the FileSystem has no option content"),
        ("{{ event.content }}", "the FileSystem has no option content"),
        ("{{ content | upper }}", "the FileSystem has no option content"),
        ("{% if content == 'x' %}{% endif %}", "the FileSystem has no option content"),
        ("{% for x in event.nothing %}{% endfor %}", "no field 'event.nothing' here"),
        ("{{ event.stat.nothing.more }}", "no field 'event.stat.nothing' here"),
        ("{{ state.nothing }}", "no field 'state.nothing' here"),
        ("{{ [event.nothing] }}", "no field 'event.nothing' here"),
        ("{{ {'a': event.nothing} }}", "no field 'event.nothing' here"),
        ("{{ event.nothing ~ 'x' }}", "no field 'event.nothing' here"),
        ("{{ 1 + event.nothing }}", "no field 'event.nothing' here"),
        ("{{ -event.nothing }}", "no field 'event.nothing' here"),
        ("{{ event.nothing[1:2] }}", "no field 'event.nothing' here"),
        ("{{ name | limit(event.nothing) }}", "no field 'event.nothing' here"),
        ("{{ range(event.nothing) }}", "no field 'event.nothing' here"),
        ("{{ rel.parts[9] }}", "a list of 2 has no item 9"),
        ("{{ none }}", "empty"),
        ("{{ [] | first }}", "no first"),
        ("{{ {'a': 1}.b }}", "a mapping has no key 'b'"),
    ],
)
def test_a_value_that_is_missing_is_an_error_of_its_own(source: str, expected: str) -> None:
    """It names the field, the reason, the template and the place."""
    with pytest.raises(MissingFieldError) as refused:
        template("\n" + source).text(fields())
    assert expected in str(refused.value)
    assert "(the template " in str(refused.value)
    assert "at line 2, column " in str(refused.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ name + 1 }}", "+ does not take a text and a number; ~ joins any values as text"),
        ("{{ '%05d' % size }}", "the filter format takes"),
        ("{{ name - 1 }}", "- does not take"),
        ("{{ -name }}", "- does not take a text"),
        ("{{ (-8) ** 0.5 }}", "no real result"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1 < 'a' }}", "not supported"),
        ("{{ name | abs }}", "abs takes numbers, not a text; int and float make them"),
        ("{{ name | limit('a') }}", "limit takes a whole number, not a text"),
        ("{{ name | strftime('%Y') }}", "strftime takes a time"),
        ("{{ '%d' | format(name) }}", "format"),
        ("{{ '%(x)s' | format(name) }}", "format does not take '%(x)s'"),
        ("{{ '%99999d' | format(1) }}", "format does not take '%99999d'"),
        ("{{ '%*d' | format(9, 1) }}", "format does not take"),
        ("{{ '%r' | format(event) }}", "format does not take"),
        ("{{ name | indent(999) }}", "0 to 200 spaces"),
        ("{{ name | truncate(1) }}", "truncate takes a length from 3"),
        ("{{ 1 | round(99) }}", "-15 to 15 places"),
        ("{{ 1 | round(method='up') }}", "the methods common, ceil and floor"),
        ("{{ name | items }}", "items takes a mapping, not a text"),
        ("{{ size | length }}", "a number has no length"),
        ("{{ utc | sort }}", "a time has no items"),
        ("{{ name | sum }}", "a text has no items; split makes a list of it"),
        ("{{ name[1:'x'] }}", "a slice takes whole numbers"),
        ("{{ size[1:2] }}", "a number has no slices"),
        ("{{ range('9') }}", "range takes whole numbers"),
        ("{{ range(1, 2, 0) }}", "range() arg 3 must not be zero"),
        ("{% for one in name %}{% endfor %}", "the filter split makes a list of it"),
        ("{% set a, b = [1] %}", "not enough values"),
        ("{% for one in [1] %}{{ loop }}{% endfor %}", "a LoopContext has no text"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error(source: str, expected: str) -> None:
    """In words, with the template and the place."""
    with pytest.raises(UsageError) as refused:
        template(source).text(fields())
    assert expected in str(refused.value)
    assert "at line 1, column " in str(refused.value)
    assert not isinstance(refused.value, MissingFieldError)


@pytest.mark.parametrize(
    "author",
    ["../../etc/passwd", "..\\..\\x", "E:\\test", "a\0b", "x" * 5000, "CON", "", ".", "..", "a/b"],
)
def test_case_d12_nothing_in_a_value_leads_out(author: str) -> None:
    """D12: any user's name is one component of the file name."""
    name = Template("by/{{ event.author }}.txt").name(Fields(Message(author, "hi")))
    first, second = name.split("/")
    assert first == "by"
    assert "\0" not in second
    assert "\\" not in second
    assert len(second.encode()) <= 200
    assert second not in {"", ".", ".."}


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_name_is_made_of_the_folders_of_the_template_alone(one: str, two: str) -> None:
    """Also when several values form a component."""
    name = Template("a/{{ event.author }}-{{ event.text }}/c").name(Fields(Message(one, two)))
    assert [*name.split("/")][0::2] == ["a", "c"]
    assert name.count("/") == 2


def test_what_parts_folders() -> None:
    """The template's own slashes, those in the form of a time, and the folders of a path."""
    event = Fields(created("sub/deep/a.txt", time=datetime(2027, 1, 2, 12, tzinfo=UTC).timestamp()))

    def name(source: str) -> str:
        return template(source).name(event)

    assert name("{{ rel }}") == "sub/deep/a.txt"
    assert name("{{ utc | strftime('%Y/%m') }}/{{ name }}") == "2027/01/a.txt"
    assert name("{{ utc | strftime('%Y/%m') | default('x') }}/{{ name }}") == "2027/01/a.txt"
    assert name("{{ utc }}.txt") == "2027-01-02T120000.txt"
    assert name("{{ old_path | default('x') }}") == "x"
    assert name("/{{ rel }}/") == "sub/deep/a.txt"
    assert name("{{ rel.parent }}/{{ rel.stem }}.md") == "sub/deep/a.md"
    assert name("{{ rel.parent.parent.parent }}/{{ rel.name }}") == "a.txt"
    assert name("{% for one in rel.parts %}{{ one }}/{% endfor %}") == "sub/deep/a.txt"
    assert name("{% if size > 2 %}big/{% endif %}{{ name }}") == "big/a.txt"
    with pytest.raises(UsageError, match="empty"):
        name("/")
    with pytest.raises(UsageError, match="empty"):
        name("{{ '' }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ path.parent ~ '/../x' }}", "{{ '../../x' }}", "{{ rel | replace('sub', '..') }}",
        "{{ (utc | strftime('%Y/%m')) ~ '/../x' }}", "{{ utc | strftime('%Y/%m') | upper }}",
        "{{ rel | upper }}", "{% set x = '../' ~ name %}{{ x }}", "{{ ['../', name] | join }}",
        "{{ '%s/%s' | format('..', name) }}", "{{ '..\\\\..' }}{{ name }}", "{{ rel | string }}",
        "{{ (utc | strftime('%Y/%m'))[:6] }}", "{{ {'a/b': 1} }}",
    ],
)  # fmt: skip
def test_a_text_that_is_computed_is_one_component(source: str) -> None:
    """Only paths, forms of times and the template's own text have directories in them."""
    name = template(f"in/{source}").name(fields())
    assert name.count("/") == 1
    assert "\\" not in name


def test_fields_of_a_rename_and_of_others_events() -> None:
    """The old name; the public fields of a dataclass."""
    assert Template("{{ old_name }} {{ name }}").text(Fields(renamed("a", "b"))) == "a b"
    message = Fields(Message("Ann", "hi", {"id": 5}))
    source = "{{ event.author }}: {{ event.text }} {{ event.extra.id }}"
    assert Template(source).text(message) == "Ann: hi 5"
    assert Template("{{ type }} {{ content }}").text(message) == "Message hi"


class Color(str, Enum):  # noqa: UP042 - one of the two kinds that events have
    RED = "red"


class Half(float):
    def __str__(self) -> str:
        return "half"


class Opaque:
    pass


@dataclasses.dataclass
class Inner:
    a: int
    _secret: str = "s"  # noqa: S105


@pytest.mark.parametrize(
    ("value", "source", "wanted"),
    [
        (b"\xffa", "{{ v }}|{{ v | json }}|{{ v | base64 }}|{{ v[1:] }}",
         '\ufffda|"\ufffda"|/2E=|a'),
        (bytearray(b"x"), "{{ v }}", "x"),
        (Color.RED, "{{ v }} {{ v == 'red' }}", "red True"),
        (Markup("<b>"), "{{ v }} {{ 'a<' ~ v }} {{ v + '<' }}", "<b> a<<b> <b><"),
        (Priority.HIGH, "{{ v + 1 }}", "3"),
        ({3, 1}, "{{ v | sort }}", "[1, 3]"),
        (Inner(1), "{{ v.a }} {{ v | json }} {{ v['_' ~ 'secret'] | default('hidden') }}",
         '1 {"a": 1} hidden'),
        (Decimal("1.50"), "{{ v }} {{ v | float * 2 }}", "1.50 3"),
        (date(2027, 1, 2), "{{ v }}", "2027-01-02"),
        (PurePosixPath("a/b.txt"), "{{ v.stem }} {{ v }} {{ v | json }}", 'b a/b.txt "a/b.txt"'),
        ([{"a": [1]}, None], "{{ v[0].a[0] }} {{ v[1] | d('x') }} {{ v }}",
         '1 x [{"a": [1]}, null]'),
        ({"items": 1, 5: "five", None: 2}, "{{ v.items }} {{ v[5] }} {{ v | length }}", "1 five 3"),
        ({PurePosixPath("a/b"): 1}, "{% for k in v %}{{ k.name }}{% endfor %}{{ v | items }}",
         'b[["a/b", 1]]'),
        (Opaque(), "{{ v | default('opaque') }}", "opaque"),
        (print, "{{ v | default('opaque') }}", "opaque"),
        (float("inf"), "{{ v }}", "inf"),
        (Half(0.5), "{{ v }}", "0.5"),
        (datetime(2027, 1, 2, tzinfo=UTC), "{{ v }}", "2027-01-02T00:00:00Z"),
        ("{{ name }}{% x %}", "{{ v }}", "{{ name }}{% x %}"),
        ("half\ud800", "{{ v }}", "half\ud800"),
    ],
)  # fmt: skip
def test_values_of_events_of_others(value: object, source: str, wanted: str) -> None:
    """Each kind of value is plain, or a view of it."""
    event = Message("a", "b", {"v": value})
    assert Template("{% set v = event.extra.v %}" + source).text(Fields(event)) == wanted


def test_what_a_template_is() -> None:
    """It equals another one of the same text, and names its fields, or the one that is all."""
    one = template("{% for x in event.a %}{{ x }}{{ name }}{% endfor %}{% set y = size %}{{ y }}")
    assert one == Template(one.source)
    assert hash(one) == hash(Template(one.source))
    assert one != Template("x")
    assert one != "x"
    assert repr(Template("{{ x }}")) == "Template('{{ x }}')"
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one  # noqa: S301
    assert one.fields == {"event", "name", "size"}
    assert one.alone is None
    assert Template("{{content}}").alone == "content"
    assert Template("{{ content }} ").alone is None
    assert Template("{{ content | upper }}").alone is None


def test_a_template_is_expanded_by_many_threads() -> None:
    """Each expansion has its own values and its own budget."""
    one = template("{% for i in range(200) %}{{ event.text }}{% endfor %}")

    def expand(number: int) -> bool:
        return one.text(Fields(Message("a", str(number)))) == str(number) * 200

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(expand, range(100)))


def test_a_plain_text_needs_no_compiler() -> None:
    """However long it is."""
    text = "a }} { %} " * 50_000
    assert Template(text).text(fields()) == text
    with pytest.raises(UsageError, match="more than 262144 characters"):
        Template(text + "{{ name }}")
