"""Which places, products and plants does the demo's network have?

It imitates a group of local breweries: crates of 20 half-litre bottles weigh 17.5 kg and come back empty, so that
hauling them across a country costs more than brewing nearby. The towns and their coordinates are real, the breweries
and every figure are invented.
"""

from datetime import date
from typing import NamedTuple


class Town(NamedTuple):
    """Where a region's shops are; `size` is its number of thirsty thousands."""

    code: str
    name: str
    latitude: float
    longitude: float
    size: float


class Brewery(NamedTuple):
    """A plant; `slack` is its capacity ÷ the demand nearest to it, below 1 its neighbours must help."""

    code: str
    name: str
    latitude: float
    longitude: float
    slack: float
    makes: str
    """Letters of `Drink.letter`."""


class Drink(NamedTuple):
    """A product; `usual_units_per_day` is what a region of 300 thousand takes on a mean day."""

    letter: str
    code: str
    name: str
    usual_units_per_day: float
    value_per_unit: float
    summer_share: float
    """How far the yearly wave swings; negative: more in winter."""
    growth_share_per_year: float
    carried_share: float
    """Of the regions, how many carry it."""
    largest_pack: int
    """Above 1, sold in packs of up to so many crates: few sales, uneven in size."""
    make_lead_time_days: int


class Scale(NamedTuple):
    """Which part of the network a demo has."""

    towns: tuple[Town, ...]
    breweries: tuple[Brewery, ...]
    drinks: tuple[Drink, ...]


AS_OF = date(2026, 4, 13)
"""A Monday in spring: eight weeks on lie the May promotion and the first warm weekends."""
HISTORY_DAYS = 728
HORIZON_WEEKS = 8
NEW_REGION = "KONSTANZ"
NEW_REGION_DAYS = 45
"""This region's shops opened so many days before AS_OF."""
OFFLINE_NODE = "JENA"
DEGRADED_NODE = "NEUSS"
DEGRADED_CAPACITY_SHARE = 0.7
MAINTAINED_NODE = "FREISING"
"""Its bottling line is overhauled in one week of the horizon."""
PROMOTED = "WHEAT"
PROMOTED_REGIONS = ("MUENCHEN", "AUGSBURG", "NUERNBERG", "REGENSBURG", "PASSAU", "ULM")
PROMOTION_WEEKS_AHEAD = (3, 5)
"""Half-open, in weeks after AS_OF; it ran in the same weeks of last year too."""
ORDERED_ONLY = "STOUT"
"""Aged in barrels, made to order."""
UNQUALIFIED = ("GOERLITZ", "STOUT")
"""Has the barrels, not yet the approval."""
MUST_DRINK = "CIDER"
"""Pressed from last autumn's must, a stored resource: what is gone is gone until the next harvest."""

TOWNS = (
    Town("BERLIN", "Berlin", 52.52, 13.41, 3700),
    Town("HAMBURG", "Hamburg", 53.55, 9.99, 1850),
    Town("MUENCHEN", "München", 48.14, 11.58, 1500),
    Town("KOELN", "Köln", 50.94, 6.96, 1080),
    Town("FRANKFURT", "Frankfurt", 50.11, 8.68, 770),
    Town("STUTTGART", "Stuttgart", 48.78, 9.18, 630),
    Town("DUESSELDORF", "Düsseldorf", 51.23, 6.78, 620),
    Town("LEIPZIG", "Leipzig", 51.34, 12.37, 610),
    Town("DORTMUND", "Dortmund", 51.51, 7.47, 590),
    Town("ESSEN", "Essen", 51.46, 7.01, 580),
    Town("BREMEN", "Bremen", 53.08, 8.80, 570),
    Town("DRESDEN", "Dresden", 51.05, 13.74, 560),
    Town("HANNOVER", "Hannover", 52.37, 9.74, 540),
    Town("NUERNBERG", "Nürnberg", 49.45, 11.08, 520),
    Town("BIELEFELD", "Bielefeld", 52.02, 8.53, 335),
    Town("MUENSTER", "Münster", 51.96, 7.63, 320),
    Town("MANNHEIM", "Mannheim", 49.49, 8.47, 310),
    Town("KARLSRUHE", "Karlsruhe", 49.01, 8.40, 308),
    Town("AUGSBURG", "Augsburg", 48.37, 10.90, 300),
    Town("KIEL", "Kiel", 54.32, 10.14, 247),
    Town("MAGDEBURG", "Magdeburg", 52.13, 11.62, 240),
    Town("FREIBURG", "Freiburg", 48.00, 7.85, 236),
    Town("ERFURT", "Erfurt", 50.98, 11.03, 214),
    Town("ROSTOCK", "Rostock", 54.09, 12.10, 209),
    Town("KASSEL", "Kassel", 51.31, 9.49, 204),
    Town("SAARBRUECKEN", "Saarbrücken", 49.24, 6.99, 181),
    Town("OSNABRUECK", "Osnabrück", 52.28, 8.05, 167),
    Town("REGENSBURG", "Regensburg", 49.02, 12.10, 157),
    Town("ULM", "Ulm", 48.40, 9.99, 128),
    Town("WUERZBURG", "Würzburg", 49.79, 9.95, 127),
    Town("GOETTINGEN", "Göttingen", 51.53, 9.93, 118),
    Town("TRIER", "Trier", 49.75, 6.64, 112),
    Town("COTTBUS", "Cottbus", 51.76, 14.33, 99),
    Town("SCHWERIN", "Schwerin", 53.63, 11.41, 98),
    Town("KONSTANZ", "Konstanz", 47.66, 9.18, 86),
    Town("PASSAU", "Passau", 48.57, 13.46, 54),
)

BREWERIES = (
    Brewery("POTSDAM", "Potsdam Brewery", 52.40, 13.06, 0.95, "LPWAFG"),
    Brewery("LUENEBURG", "Lüneburg Brewery", 53.25, 10.41, 1.25, "LPAFCS"),
    Brewery("WISMAR", "Wismar Brewery", 53.89, 11.46, 1.60, "LPAFO"),
    Brewery("OLDENBURG", "Oldenburg Brewery", 53.14, 8.21, 1.45, "LPAFOG"),
    Brewery("BRAUNSCHWEIG", "Braunschweig Brewery", 52.27, 10.53, 1.50, "LPWAFOB"),
    Brewery("PADERBORN", "Paderborn Brewery", 51.72, 8.75, 1.40, "LPWAFOG"),
    Brewery("NEUSS", "Neuss Brewery", 51.20, 6.69, 1.10, "LPAFOBG"),
    Brewery("KOBLENZ", "Koblenz Brewery", 50.36, 7.59, 1.40, "LPWAFOC"),
    Brewery("MARBURG", "Marburg Brewery", 50.81, 8.77, 1.50, "LPWAFCG"),
    Brewery("JENA", "Jena Brewery", 50.93, 11.59, 1.30, "LPWAFOB"),
    Brewery("GOERLITZ", "Görlitz Brewery", 51.15, 14.99, 1.60, "LPWAFOS"),
    Brewery("BAMBERG", "Bamberg Brewery", 49.89, 10.89, 1.50, "LPWAFOBS"),
    Brewery("HEIDELBERG", "Heidelberg Brewery", 49.40, 8.67, 0.95, "LPWAFOC"),
    Brewery("TUEBINGEN", "Tübingen Brewery", 48.52, 9.06, 1.45, "LPWAFOCG"),
    Brewery("FREISING", "Freising Brewery", 48.40, 11.75, 1.10, "LPWAFOB"),
    Brewery("LINDAU", "Lindau Brewery", 47.55, 9.69, 1.80, "LPWAFOCGS"),
)

DRINKS = (
    Drink("L", "LAGER", "Lager", 28.0, 14.0, 0.16, 0.00, 1.00, 1, 2),
    Drink("P", "PILSNER", "Pilsner", 24.0, 15.0, 0.14, -0.04, 1.00, 1, 2),
    Drink("F", "LEMONADE", "Lemonade", 14.0, 10.0, 0.36, 0.02, 1.00, 1, 0),
    Drink("W", "WHEAT", "Wheat beer", 12.0, 16.0, 0.34, 0.01, 0.92, 1, 2),
    Drink("A", "ALCOHOLFREE", "Alcohol-free lager", 8.0, 15.0, 0.20, 0.22, 1.00, 1, 2),
    Drink("O", "COLAMIX", "Cola and orange", 6.0, 11.0, 0.30, 0.03, 0.80, 1, 0),
    Drink("C", "CIDER", "Cider", 1.3, 22.0, 0.25, 0.10, 0.60, 1, 1),
    Drink("G", "GINGER", "Ginger beer", 0.6, 24.0, 0.20, 0.35, 0.70, 1, 0),
    Drink("B", "BOCK", "Bock", 0.5, 21.0, -0.60, 0.00, 0.70, 4, 2),
    Drink("S", "STOUT", "Barrel-aged stout", 0.12, 48.0, -0.30, 0.05, 0.60, 8, 2),
)


def scale(*, small: bool) -> Scale:
    """Take the whole network, or about a third of it for a quick look."""
    if small:
        return Scale(TOWNS[1::3], BREWERIES[1::2], DRINKS[2:4] + DRINKS[6:])
    return Scale(TOWNS, BREWERIES, DRINKS)
