"""A prompt template is names and filters; everything else of Jinja is refused before it runs."""

from __future__ import annotations

import pytest
from reelsweep.prompts.template import FILTERS, MAX_TEXT_BYTES, parse_template


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ subject }} at dawn", "a fox at dawn"),
        ("{{ subject | upper }}!", "A FOX!"),
        ("{{ subject|title|trim }}", "A Fox"),
        ("{{ (subject | upper) | capitalize }}", "A fox"),
        ("{{ subject }}\n", "a fox\n"),
        ("{# a note #}{{ subject }}{{ light }}", "a foxdawn"),
        ("no slot, 100 % { literal }", "no slot, 100 % { literal }"),
        ("{{ subject }} <b>&amp;</b>", "a fox <b>&amp;</b>"),
    ],
)
def test_names_and_filters_are_filled_in(template, text):
    """Slots are filled, nothing is escaped, the last newline stays."""
    assert parse_template(template).render({"subject": "a fox", "light": "dawn"}) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ 10**100000000 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1 }}",
        "{{ a + b }}",
        "{{ a ~ b }}",
        "{{ -a }}",
        "{{ not a }}",
        "{{ a == b }}",
        "{{ a.b }}",
        "{{ a['b'] }}",
        "{{ a() }}",
        "{{ a.__class__.__mro__ }}",
        "{{ range(10**9) }}",
        "{{ a if b }}",
        "{{ [a] }}",
        "{{ {'a': a} }}",
        "{{ a, b }}",
        "{{ a is defined }}",
        "{{ a | default('x') }}",
        "{{ a | upper(1) }}",
        "{{ a | center }}",
        "{{ a | nosuchfilter }}",
        "{% for x in a %}{{ x }}{% endfor %}",
        "{% if a %}{% endif %}",
        "{% set a = 1 %}",
        "{% raw %}{{ a }}{% endraw %}",
        "{% include 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{{ a",
        "{% nosuchblock %}",
        "{{ " + "(" * 10_000 + "a" + ")" * 10_000 + " }}",
    ],
)
def test_everything_else_is_refused(template):
    """Blocks, arithmetic, calls, constants, attributes and other filters are errors, without being run."""
    with pytest.raises(ValueError, match="expected"):
        parse_template(template)


def test_every_filter_gives_text():
    """The list of filters is what it says: text in, text out."""
    for name in FILTERS:
        assert isinstance(parse_template("{{ a | NAME }}".replace("NAME", name)).render({"a": " b "}), str)


def test_an_unknown_name_and_an_empty_cell_are_errors():
    """Nothing is rendered as an empty text without being said."""
    with pytest.raises(ValueError, match=r"subjct.*there are: subject"):
        parse_template("{{ subjct }}").render({"subject": "a"})
    with pytest.raises(ValueError, match=r"'{{ subject }}' is empty in this row"):
        parse_template("{{ subject }}").render({"subject": ""})


def test_a_rendered_text_ends_at_one_megabyte():
    """One byte more than a megabyte is refused, measured in UTF-8."""
    template = parse_template("{{ a }}")
    assert len(template.render({"a": "x" * MAX_TEXT_BYTES})) == MAX_TEXT_BYTES
    for text in ("x" * (MAX_TEXT_BYTES + 1), "é" * (MAX_TEXT_BYTES // 2 + 1)):
        with pytest.raises(ValueError, match="at most 1,000,000"):
            template.render({"a": text})
