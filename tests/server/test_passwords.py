from collections.abc import Callable

import pytest

from syncline.server.api_errors import ApiError
from syncline.server.passwords import Passwords
from syncline.server.settings import Settings

MakeSettings = Callable[..., Settings]


def test_a_hash_is_of_one_password_however_it_is_written(settings: MakeSettings) -> None:
    passwords = Passwords(settings())
    stored = passwords.hash("gr\u00fcn")
    assert stored.startswith("$argon2id$v=19$")
    assert passwords.verify("gru\u0308n", stored)
    assert not passwords.verify("grun", stored)
    assert not passwords.verify("gr\u00fcn", None)
    assert not passwords.verify("x", "not a hash")
    assert not passwords.verify("x" * 2000, stored)


@pytest.mark.parametrize("password", ["short", "x" * 129, "ä" * 600])
def test_unfit_passwords_may_not_be_chosen(settings: MakeSettings, password: str) -> None:
    with pytest.raises(ApiError) as refused:
        Passwords(settings(password_maximum=128 if len(password) < 500 else 1000)).check_new(password)
    assert refused.value.status == 400


def test_a_password_of_no_characters_of_unicode_is_an_error_of_the_caller(settings: MakeSettings) -> None:
    with pytest.raises(ApiError) as refused:
        Passwords(settings()).verify("\ud800", None)
    assert refused.value.status == 400


def test_stronger_parameters_make_old_hashes_outdated(settings: MakeSettings) -> None:
    stored = Passwords(settings()).hash("correct horse")
    assert not Passwords(settings()).is_outdated(stored)
    stronger = Passwords(settings(argon2_passes=2))
    assert stronger.is_outdated(stored)
    assert stronger.verify("correct horse", stored)


def test_only_so_many_may_wait(settings: MakeSettings) -> None:
    passwords = Passwords(settings(hash_queue=1))
    with passwords._turn(), pytest.raises(ApiError) as refused:
        passwords.verify("x", None)
    assert refused.value.status == 503
    assert not passwords.verify("x", None)
