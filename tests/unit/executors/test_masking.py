"""Masks: no 8 bytes in a row of a secret get out, in any encoding, however the output is cut."""

from __future__ import annotations

import base64
import itertools
import json
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from executors.secrets.json_masking import mask_json
from executors.secrets.masking import MaskedStream, Masker
from executors.secrets.needles import needles_of

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SECRET = TEXT.filter(lambda each: len(each.encode()) >= 8)
ENCODINGS = {
    "raw": lambda secret, around: around + secret.encode() + around,
    "json": lambda secret, around: around + json.dumps(secret).encode() + around,
    "json, not ascii": lambda secret, around: around + json.dumps(secret, ensure_ascii=False).encode() + around,
    "url": lambda secret, around: around + quote(secret, safe="").encode() + around,
    "path of a url": lambda secret, around: around + quote(secret).encode() + around,
    "form": lambda secret, around: around + quote_plus(secret).encode() + around,
    "base64": lambda secret, around: base64.b64encode(around + secret.encode() + around),
    "base64 for urls": lambda secret, around: base64.urlsafe_b64encode(around + secret.encode() + around),
}
"""How a program may write a secret, with something before and after it."""


def windows(data):
    return {data[at : at + 8] for at in range(len(data) - 7)}


def streamed(masker, data, cuts):
    stream = MaskedStream(masker)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [stream.write(data[start:end]) for start, end in itertools.pairwise(places)]
    return b"".join([*pieces, stream.finish()])


CUTS = st.lists(st.integers(0, 1_000), max_size=12)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(secret=SECRET, around=st.binary(max_size=9), cuts=CUTS)
def test_no_eight_bytes_of_a_secret_get_out_in_any_encoding(encoding, secret, around, cuts):
    masker = Masker([needles_of(secret)])
    out = streamed(masker, ENCODINGS[encoding](secret, around), cuts)
    assert not windows(out) & windows(secret.encode())
    written = [ENCODINGS[encoding](secret, b"x" * offset) for offset in range(3)]
    if encoding.startswith("base64"):  # the first and the last characters depend on what is around the secret
        written = [each[4:-4] for each in written]
    assert not windows(out) & {each for form in written for each in windows(form.strip(b'x"'))}


@given(secret=SECRET, start=st.integers(0, 50), size=st.integers(8, 50), cuts=CUTS)
def test_a_part_of_a_secret_does_not_get_out_either(secret, start, size, cuts):
    part = secret.encode()[start : start + size]
    out = streamed(Masker([needles_of(secret)]), b"it begins with " + part, cuts)
    assert not windows(out) & windows(secret.encode())


@given(secret=SECRET, data=st.lists(st.binary(max_size=30), max_size=5), cuts=CUTS)
def test_where_the_output_is_cut_changes_nothing(secret, data, cuts):
    masker, whole = Masker([needles_of(secret)]), secret.encode().join(data)
    assert streamed(masker, whole, cuts) == masker.mask_bytes(whole)


@given(secret=SECRET, data=st.text("0123456789 \n", max_size=100), cuts=CUTS)
def test_what_is_no_secret_stays_as_it_is(secret, data, cuts):
    masker = Masker([needles_of(secret)])
    if not any(each in data.encode() for each in needles_of(secret)):
        assert streamed(masker, data.encode(), cuts) == data.encode()


@given(secret=SECRET, start=st.integers(0, 20), end=st.integers(0, 20), cuts=CUTS)
@example(secret="x***yyyy", start=1, end=4, cuts=[3])
@example(secret="xyyyy***", start=5, end=0, cuts=[])
def test_a_mask_and_its_neighbours_are_no_part_of_a_secret(secret, start, end, cuts):
    out = streamed(Masker([needles_of(secret)]), (secret[:start] + secret + secret[end:]).encode(), cuts)
    assert not windows(out) & windows(secret.encode())


@given(secrets=st.lists(SECRET, min_size=1, max_size=4), cuts=CUTS)
def test_several_secrets_are_masked_beside_each_other(secrets, cuts):
    out = streamed(Masker(map(needles_of, secrets)), "".join([*secrets, *secrets[::-1]]).encode(), cuts)
    assert not windows(out) & {each for secret in secrets for each in windows(secret.encode())}


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("hunter2", "it is hunter2.", "it is ***."),
        ("pass", "a pass, cGFzcw==, apass", "a ***, ***w==, a***"),
        ("abc", "abc", "abc"),
        ("line one\r\nline two", "line two", "***"),
        ("a" * 40, f"<{'a' * 40}> <{'a' * 7}>", "<***> <aaaaaaa>"),
    ],
)
def test_short_values_are_masked_whole_from_four_bytes_on(secret, said, shown):
    assert Masker([needles_of(secret)]).mask_text(said) == shown


@given(secret=SECRET, prefix=TEXT, key=st.booleans())
def test_a_masked_result_is_json_without_the_secret(secret, prefix, key):
    value = {prefix + secret: [1.50, None]} if key else ["plain", {"a": [prefix + secret + "x"]}]
    for written in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        out = bytes(mask_json(Masker([needles_of(secret)]), msgspec.Raw(written.encode())))
        said = json.dumps(msgspec.json.decode(out), ensure_ascii=False).encode()
        assert not windows(out) & windows(secret.encode())
        assert not windows(said) & windows(secret.encode())


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (r'{"a": "hunter2-hunter2", "b": 1.50}', '{"a": "***", "b": 1.50}'),
        (r'{"a": "\u0068unter2-hunter2"}', '{"a": "***"}'),
        (r'["h\u00e9", {"n": 1e400}]', r'["h\u00e9", {"n": 1e400}]'),
        ("1.45678901234567890123", '"1.***"'),
        ('{"user": "admin", "password": "tr4"}', '"***"'),
    ],
)
def test_a_result_keeps_what_is_no_secret_byte_for_byte(said, shown):
    secrets = ["hunter2-hunter2", "45678901234567890123", '{"user": "admin", "password": "tr4"}']
    out = bytes(mask_json(Masker(map(needles_of, secrets)), msgspec.Raw(said.encode())))
    assert out.decode() == shown
