"""The privacy legislations in whose zones profiles live."""

from __future__ import annotations

__all__ = ["NO_LEGISLATION", "PRIVACY_LEGISLATIONS"]

NO_LEGISLATION = "NONE"

PRIVACY_LEGISLATIONS = frozenset(
    {
        "ARGENTINA_DPL",
        "AUSTRALIA_PRIVACY_ACT",
        "BELIZE_DPA",
        "BRAZIL_LGPD",
        "CCPA",
        "CDPA_CTCPDA",
        "CHILE_L19_628",
        "CHINA_PIPL",
        "COLOMBIA_L1581_D1377",
        "COSTA_RICA_L8968",
        "DPDPA",
        "EL_SALVADOR",
        "FDBR",
        "GDPR",
        "GUATEMALA_LAIP",
        "HAITI_APD",
        "HONDURAS_LPDCP",
        "ICDPA",
        "INDIANA_INCDPA",
        "ISRAEL_PPL",
        "JAMAICA_DPA",
        "JAPAN_APPI",
        "KENTUCKY_KCDPA",
        "MARYLAND_MODPA",
        "MEXICO_LFPDPPP",
        "MINNESOTA_MCDPA",
        "MTCDPA",
        "NEDPA",
        "NEW_ZEALAND_PRIVACY_ACT",
        "NHPA",
        "NICARAGUA_L787",
        "NJDPA",
        "NONE",
        "NYPA",
        "OCPA",
        "PANAMA_L81",
        "PERU_DPL",
        "PIPEDA",
        "RHODE_ISLAND_RIDTPPA",
        "SB1392",
        "SB190",
        "SB220",
        "SOUTH_KOREA_PIPA",
        "SWITZERLAND_DPA",
        "TDPSA",
        "TENNESSEE_TIPA",
        "TRINIDAD_TOBAGO_DPA",
        "UCPA",
        "UK_GDPR",
    }
)
"""Zones that a profile can be created in: definition of ``PUT /profiles``, read 2026-11."""
