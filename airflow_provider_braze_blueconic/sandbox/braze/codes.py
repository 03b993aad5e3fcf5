"""The countries, languages and time zones that Braze knows."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from functools import lru_cache

from faker.providers.date_time import Provider as _FakerDates

__all__ = ["COUNTRY_CODES", "LANGUAGES", "country_names", "time_zones"]

COUNTRY_CODES = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW""".split()  # noqa: SIM905 - a list a reader can scan
)

# Page "Supported language codes", read 2026-11, in its order.
LANGUAGES = frozenset(
    """en af agq ak sq am ar hy as ay az ksf bas eu be bem bn bez bs br bg my km ca tzm chr cgg zh swc kw hr cs da
    dav dua nl dz guz et eo ewo ee fo fa fil fi fr gl lg ka de gsw el kl gn gu ha haw he hi hu is ig id iu ga it
    jv ja dyo kab kln kam kn ks kk ebu ki rw ky ko ku lo la lv ln lt lu lb luo luy jmc mk mg ms ml mt gv mr mas
    mer mo mn mfe mua naq ne nd nb nus nyn nn om ps ff pl pt pa qu rm ro rof ru rwk saq se sbp sa gd sr seh ksb sn
    ii sd si sk sl so es sw sv shi tl tg ta twq tt te teo th bo ti to tr tk ug uk ur uz vai vi vun cy xh yav yi yo
    dje zu""".split()  # noqa: SIM905 - the same
)

_RAILS_ZONES = frozenset({"Eastern Time (US & Canada)", "Central Time (US & Canada)", "Pacific Time (US & Canada)"})


@lru_cache(maxsize=1)
def country_names() -> Mapping[str, str]:
    names = {country.name.casefold(): country.alpha_2_code for country in _FakerDates.countries}
    more = {"uk": "GB", "great britain": "GB", "england": "GB", "usa": "US", "united states of america": "US"}
    more |= {"united states": "US", "united kingdom": "GB", "netherlands": "NL", "the netherlands": "NL"}
    more |= {"australia": "AU", "south korea": "KR", "russia": "RU", "czech republic": "CZ", "czechia": "CZ"}
    return names | more


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) | _RAILS_ZONES
