import pytest

from syncline.server.permissions import Level, Subject, level

ANN = Subject("ann", "app")


@pytest.mark.parametrize(
    ("subject", "key", "owner", "expected"),
    [
        (ANN, "p:/ann/list", None, Level.ADMIN),
        (ANN, "p:/ann", None, Level.ADMIN),
        (ANN, "p:/bob/list", None, Level.NONE),
        (ANN, "p:/bob/list", "bob", Level.NONE),
        (ANN, "p:/bob/list", "ann", Level.ADMIN),
        (ANN, "s_ann", None, Level.NONE),
        (ANN, "s_x", "ann", Level.ADMIN),
        (ANN, "p:/ann/__management", "ann", Level.NONE),
        (ANN._replace(is_active=False), "p:/ann/list", "ann", Level.NONE),
        (ANN._replace(is_admin=True), "p:/bob/list", "bob", Level.ADMIN),
        (ANN._replace(is_admin=True), "p:/__admin", None, Level.NONE),
        (ANN._replace(is_admin=True, is_active=False), "p:/x", None, Level.NONE),
        (ANN._replace(is_developer=True), "s_anything", None, Level.ADMIN),
        (ANN._replace(app_id="other", is_admin=True), "p:/ann/list", "ann", Level.NONE),
    ],
)
def test_default_rules(subject: Subject, key: str, owner: str | None, expected: Level) -> None:
    assert level(subject, "app", key, owner) is expected
