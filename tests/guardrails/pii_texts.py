"""Texts with personal data in them, and texts that nearly have some."""

from hypothesis import strategies as st

FRAGMENTS = (
    "jane.doe@example.com", "a@b.co", "x@localhost", "@", "git@github.com:org/repo",
    "j@ex\u00e4mple.de", "\u00fcser@b\u00fccher.example.org", "+1 (415) 555-0132",
    "415.555.0132 x12", "(415) 555-0132", "020 7946 0958", "+44 20 7946 0958", "+49 30 3012643",
    "4155550132", "phone: 4155550132", "tel",
    "\u0664\u0661\u0665-\u0665\u0665\u0665-\u0660\u0661\u0663\u0662",
    "\uff0b1 \uff14\uff11\uff15\uff0d555-0132", "596-88-3094", "596 88 3094", "596883094", "ssn ",
    "078-05-1120", "912-70-1234", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005",
    "2221 0000 0000 0009", "card", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19",
    "de89370400440532013000", "10.12.13.4", "256.1.1.1", "1.2.3.4/24", "fe80::1", "::1", "::",
    "2001:db8::8a2e:370:7334", "std::add", "00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5e",
    "0012.3456.789A", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "943 476 5919", "nhs ", "AB 12 34 56 C",
    "2024-10-12T13:04:05.123456Z", "1748221709914", "0.66092368",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "fe525c7e7292b62b453f6acc2262ac11", "INV-4029-107306",
    "https://example.com/a?b=1", "claim number: 12345678", "rx# 1234567", "12 ext. 34567",
    "1 x 2345678", "\u212a", "\u017f", "\u0130", "\u0131", "\u00e9", "\u2019", "\u200b",
    "\U0001f469\u200d\U0001f4bb", "\0", "\ud800", " ", "  ", "\n", ", ", "-", ".", ":", "/", "(",
    ")", "+", "#", "x", "1", "0", "a", "A", "_", "word ", "ID",
)  # fmt: skip

texts = st.lists(
    st.sampled_from(FRAGMENTS)
    | st.text("0123456789 -.()+@:/xabcdefABCDEF\u0661\uff11\u00e9\u212a", max_size=12)
    | st.text(max_size=3),
    max_size=8,
).map("".join)
