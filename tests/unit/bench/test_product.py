"""The names that measurements use of the product."""

from __future__ import annotations

import pytest

from tests.bench import product


@pytest.mark.parametrize("name", sorted(product._MODULES))
def test_every_name_is_found_in_this_build(name: str) -> None:
    assert product.is_there(name)
    assert product.entry_point(name) is not None


@pytest.mark.parametrize("system", ["braze", "blueconic"])
def test_the_frame_of_a_body_is_found(system: str) -> None:
    assert all(isinstance(part, bytes) for part in product.frame(system).values())


def test_a_name_that_moved_is_an_error_that_says_where_to_add_it() -> None:
    with pytest.raises(ImportError, match=r"keeps Engine somewhere else; add the module to tests\.bench\.product"):
        product.entry_point("Engine", ("sync.nowhere", "sync.no_folder.either"))
