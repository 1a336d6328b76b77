"""The web shop's knowledge base: what customers ask, what a search finds, and what to say."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Article:
    """A question with the passages that a search brings in, and the answer to it."""

    question: str
    passages: tuple[str, ...]
    advice: str


ARTICLES = (
    Article(
        "How do I wash a down jacket?",
        (
            "Care of down: wash at 30 °C with a special detergent on the gentle cycle. No "
            "softener. Tumble dry on low heat with two tennis balls until no lumps are left.",
            "Repairs: small tears in shell fabrics can be closed with patches; send larger ones to "
            "our workshop with form R-2.",
        ),
        "Wash it at 30 °C on the gentle cycle with down detergent and no softener, then tumble dry "
        "it on low heat with two tennis balls until the lumps are gone.",
    ),
    Article(
        "Can I take the stove on a plane?",
        (
            "Air travel: stoves must be clean and free of fuel. Cartridges are never allowed, "
            "neither in the cabin nor in checked bags.",
            "Fuel: the Ember runs on threaded cartridges of the EN 417 kind.",
        ),
        "Yes, if it is clean and empty. The gas cartridges have to stay at home.",
    ),
    Article(
        "How long is the warranty on boots?",
        (
            "Warranty: two years on seams and soles. Worn treads and heat are not covered.",
            "Resoling: the Talus can be resoled twice; it takes about three weeks.",
        ),
        "Two years on seams and soles. Worn treads are not covered, but the Talus can be resoled.",
    ),
    Article(
        "Which size of pack do I need for a weekend?",
        (
            "Packs: 20 to 30 litres for a day, 35 to 50 for a weekend, 60 with winter gear.",
            "Back length: measure from the seventh vertebra to the top of the hips.",
        ),
        "Between 35 and 50 litres; the Basin 45 is what most people take. Measure your back length "
        "before you choose between S and L.",
    ),
    Article(
        "Do you ship to Canada, and what about customs?",
        (
            "Shipping: United States, Canada and the European Union. Duties to Canada are paid in "
            "advance and shown at the checkout.",
        ),
        "We do. Duties are shown at the checkout, so nothing is left to pay at the door.",
    ),
    Article(
        "My tent pole snapped. Can I get a single segment?",
        (
            "Spare parts: pole segments, pegs and guy lines are sold singly, by model.",
            "Ridgeline 2: pole diameter 8.7 mm, segments of 38 cm.",
        ),
        "Yes: for the Ridgeline 2 you need a segment of 38 cm and 8.7 mm. A repair sleeve "
        "will hold until it arrives.",
    ),
)
