# ruff: noqa: E501, RUF001 - a sentence is a line, and letters are what this is about

import pytest
from hypothesis import given, settings
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.language import Language, LanguageConfig, evidence
from bartizan.guardrails.language_words import LANGUAGES, LATIN, SCRIPTS, SHARED, WORDS
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.testing import GuardrailConformance

SENTENCES = {
    "en": "Please tell me how the weather will be tomorrow and whether we should take an umbrella.",
    "de": "Bitte sagen Sie mir, wie das Wetter morgen wird und ob wir einen Schirm brauchen.",
    "fr": "Dites-moi quel temps il fera demain et si nous devons prendre un parapluie avec nous.",
    "es": "Por favor dime cómo estará el tiempo mañana y si tenemos que llevar un paraguas.",
    "pt": "Por favor, diga-me como vai estar o tempo amanhã e se nós não precisamos de um casaco.",
    "it": "Per favore dimmi come sarà il tempo domani e se dobbiamo portare con noi un ombrello.",
    "ca": "Si us plau, digues-me quin temps farà demà i si hem de dur també un paraigua amb nosaltres.",
    "nl": "Vertel me alstublieft hoe het weer morgen wordt en of we een paraplu nodig hebben.",
    "sv": "Snälla berätta för mig hur vädret blir i morgon och om vi ska ta med oss ett paraply.",
    "da": "Fortæl mig venligst, hvordan vejret bliver i morgen, og om vi skal tage noget med os.",
    "no": "Fortell meg hvordan været blir i morgen, og hvorfor vi ikke skal ta med noe annet enn dette.",
    "fi": "Kerro minulle, millainen sää on huomenna ja pitääkö meidän ottaa myös sateenvarjo mukaan.",
    "et": "Palun öelge mulle, milline ilm homme on ja kas me peame vihmavarju kaasa võtma, sest see on.",
    "lv": "Lūdzu, pasaki man, kāds rīt būs laiks un vai mums ir jāņem līdzi lietussargs, jo es esmu.",
    "lt": "Prašau pasakyti, koks rytoj bus oras ir ar mums reikia pasiimti skėtį, nes jau buvo labai.",
    "pl": "Proszę powiedz mi, jaka będzie jutro pogoda i czy nie musimy zabrać ze sobą parasola.",
    "cs": "Prosím, řekněte mi, jaké bude zítra počasí a jestli si máme vzít také deštník, protože může.",
    "sk": "Prosím, povedzte mi, aké bude zajtra počasie a či si máme vziať aj dáždnik, keď môže pršať.",
    "sl": "Prosim, povej mi, kakšno bo jutri vreme in ali moramo vzeti tudi dežnik, ker lahko dežuje.",
    "hr": "Molim vas, recite mi kakvo će biti vrijeme sutra i treba li nam kišobran, jer može biti kiše.",
    "hu": "Kérem, mondja meg, hogy milyen idő lesz holnap, és hogy kell-e nekünk is egy esernyő.",
    "ro": "Vă rog să îmi spuneți cum va fi vremea mâine și dacă trebuie să luăm o umbrelă cu noi.",
    "tr": "Lütfen bana yarın havanın nasıl olacağını ve bir şemsiye almamız gerekip gerekmediğini söyle.",
    "id": "Tolong beri tahu saya bagaimana cuaca besok dan apakah kita harus membawa payung atau tidak.",
    "vi": "Xin cho tôi biết thời tiết ngày mai như thế nào và chúng ta có cần mang theo ô không.",
    "tl": "Pakisabi po sa akin kung ano ang magiging panahon bukas at kung kailangan namin ng payong.",
    "sw": "Tafadhali niambie hali ya hewa itakuwa vipi kesho na kama sisi wote tunahitaji mwavuli huo.",
    "sq": "Ju lutem më thoni si do të jetë moti nesër dhe nëse duhet të marrim një ombrellë me vete.",
    "ru": "Пожалуйста, скажите мне, какая завтра будет погода и нужно ли нам взять с собой зонт.",
    "uk": "Будь ласка, скажіть мені, яка завтра буде погода і чи потрібно нам взяти із собою парасольку.",
    "be": "Калі ласка, скажыце мне, якое заўтра будзе надвор'е і ці трэба нам узяць з сабой парасон.",
    "bg": "Моля, кажете ми какво ще бъде времето утре и дали трябва да вземем чадър със себе си.",
    "sr": "Молим вас, реците ми какво ће бити време сутра и да ли нам је потребан кишобран, јер је хладно.",
    "mk": "Ве молам кажете ми какво ќе биде времето утре и дали ни треба чадор, бидејќи тоа може да биде.",
    "ar": "من فضلك أخبرني كيف سيكون الطقس غدا وهل يجب أن نأخذ معنا مظلة أو لا، شكرا.",
    "fa": "لطفا به من بگویید هوا فردا چگونه خواهد بود و آیا باید با خود چتر برداریم یا نه.",
    "ur": "براہ کرم مجھے بتائیں کہ کل موسم کیسا ہو گا اور کیا ہمیں اپنے ساتھ چھتری لینی چاہیے۔",
    "hi": "कृपया मुझे बताएं कि कल मौसम कैसा होगा और क्या हमें अपने साथ छाता ले जाना चाहिए।",
    "mr": "कृपया मला सांगा की उद्या हवामान कसे असेल आणि आम्ही छत्री आणावी का, तुम्ही काय म्हणता.",
    "ne": "कृपया मलाई भन्नुहोस् कि भोलि मौसम कस्तो हुन्छ र हामी पनि छाता लिएर जानु पर्छ कि पर्दैन भने।",
    "el": "Παρακαλώ πείτε μου πώς θα είναι ο καιρός αύριο και αν χρειαζόμαστε ομπρέλα.",
    "he": "בבקשה תגיד לי איך יהיה מזג האוויר מחר והאם אנחנו צריכים לקחת מטרייה.",
    "th": "กรุณาบอกฉันว่าพรุ่งนี้อากาศจะเป็นอย่างไรและเราต้องเอาร่มไปด้วยไหม",
    "ja": "明日の天気がどうなるか、そして傘を持っていくべきかどうか教えてください。",
    "ko": "내일 날씨가 어떨지, 그리고 우산을 가져가야 하는지 알려 주세요.",
    "zh": "请告诉我明天的天气怎么样，以及我们是否需要带雨伞。",
}  # fmt: skip


def language(**config: object) -> Language:
    return Language(LanguageConfig.model_validate(config))


class TestLanguage(GuardrailConformance):
    def make(self) -> Guardrail:
        return language(allow=["fr"], least_letters=5)


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_is_told(name: str) -> None:
    text = SENTENCES[name]
    [found] = asked(language(deny=[name]), text)
    assert found.category == f"language.{name}"
    assert found.code == "LANGUAGE_DENIED"
    assert asked(language(allow=[name]), text) == []
    other = "de" if name == "en" else "en"
    assert {one.category for one in asked(language(allow=[other]), text)} == {f"language.{name}"}


def test_a_paragraph_in_another_language_is_found() -> None:
    english = f"{SENTENCES['en']} " * 6
    text = f"{english}\n{SENTENCES['de'] * 5}\n{english}"
    [(category, found)] = cut(language(allow=["en"]), text)
    assert category == "language.de"
    assert SENTENCES["de"] in found
    assert len(found) < len(text) / 2


def test_another_script_is_found_inside_of_a_sentence() -> None:
    text = f"He said: {SENTENCES['ru']} And that was all of it."
    [(category, found)] = cut(language(allow=["en"]), text)
    assert (category, found) == ("language.ru", SENTENCES["ru"].rstrip("."))


@pytest.mark.parametrize(
    "text",
    ["ok", "Hallo Welt", "Berlin, Paris, Roma", "x = y + 1", "12345 67890", "你好", "résumé"],
)
def test_what_is_short_is_left_alone(text: str) -> None:
    assert asked(language(allow=["sw"]), text) == []


def test_code_and_identifiers_are_no_language() -> None:
    code = "for de in il_la.das():\n    und_der = die_el.en + ya9.no\n    self.y_o(e_il.un)\n" * 9
    assert asked(language(allow=["en"]), code) == []


def test_neighbours_of_which_one_is_wanted_are_not_told_apart_by_chance() -> None:
    assert asked(language(allow=["no"]), "Vi skal ha det i morgen og de er her nå.") == []


def test_without_lists_all_is_well() -> None:
    assert asked(language(), SENTENCES["de"]) == []


def test_every_language_has_what_it_is_told_by() -> None:
    assert {name for names in SHARED.values() for name in names} == set(WORDS)
    assert set(WORDS) | set(SCRIPTS) - set(SHARED) == LANGUAGES
    assert len(LANGUAGES) > 50
    for name in SHARED[LATIN]:
        known = evidence(LATIN, set(WORDS[name]))
        assert max(known, key=lambda one: known[one]) == name


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_text_is_borne(text: str) -> None:
    asked(language(allow=["en"], least_letters=5), text)


@pytest.mark.parametrize("piece", ["a", "the ", "é", "\n", "日", "я ", "une \n"])
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    guardrail = language(allow=["en"])
    assert grows_with_the_text(lambda text: asked(guardrail, text), piece)


def test_a_wrong_configuration_is_one_sentence() -> None:
    assert "'allow': no language 'xx' can be told" in refused(LanguageConfig, allow=["xx"])
    assert "'least_letters'" in refused(LanguageConfig, least_letters=1)
    assert "did you mean 'allow'" in refused(LanguageConfig, alow=["en"])
