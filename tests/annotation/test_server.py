import json

import pytest
from starlette.testclient import TestClient

from latreg.annotation.answers import read_all
from latreg.annotation.server import make_app
from latreg.annotation.study import read_study

PORT = 8123
HERE = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def client(folder):
    return TestClient(make_app(read_study(folder), folder, PORT), base_url=HERE)


def answer(picture, **changes):
    return {"annotator": "Ann", "item": picture, "named": 3, "plausible": True, "sure": 2} | changes


def test_a_session(client, folder):
    begun = client.get("/study", params={"annotator": "Ann"}).json()
    assert begun["order"] == read_study(folder).order("Ann")
    assert begun["answered"] == []
    first, second = begun["order"][:2]
    assert client.get(f"/images/{first}").content.startswith(b"\x89PNG")
    assert client.put("/answer", json=answer(first)).json() == {"answered": [first]}
    assert client.put("/answer", json=answer(second, named=None)).json() == {"answered": [first, second]}
    assert client.request("DELETE", "/answer", json=answer(second)).json() == {"answered": [first]}
    assert client.get("/study", params={"annotator": "Ann"}).json()["answered"] == [first]
    assert client.get("/study", params={"annotator": "Bob"}).json()["answered"] == []
    assert list(read_all(folder)["Ann"]) == [first]


def test_the_page_is_told_nothing_of_what_pictures_show(client, folder):
    begun = client.get("/study", params={"annotator": "Ann"}).json()
    assert set(begun) == {"class_names", "order", "answered"}
    assert client.get("/study.json").status_code == 404
    assert client.get("/images/..%2Fstudy.json").status_code == 404


def test_all_of_the_page_comes_from_here(client):
    for path in ("/", "/page.js", "/page.css"):
        response = client.get(path)
        assert response.status_code == 200
        assert "https://" not in response.text
        assert response.headers["content-security-policy"].startswith("default-src 'self'")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": f"evil.example:{PORT}"}, 421),
        ({"host": "127.0.0.1:9999"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": f"http://evil.example:{PORT}"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
    ],
)
def test_others_are_refused(client, folder, headers, status):
    body = json.dumps(answer("0000"))
    response = client.put("/answer", content=body, headers={"content-type": "application/json"} | headers)
    assert response.status_code == status
    assert not (folder / "answers").exists()


def test_this_machine_by_name_is_answered(client):
    headers = {"host": f"localhost:{PORT}", "origin": f"http://localhost:{PORT}"}
    assert client.put("/answer", json=answer("0000"), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"item": "9999"},
        {"item": None},
        {"named": 10},
        {"named": "3"},
        {"named": True},
        {"plausible": 1},
        {"sure": 4},
        {"annotator": "../x"},
        {"annotator": ""},
    ],
)
def test_bad_answers_are_one_sentence(client, folder, changes):
    response = client.put("/answer", json=answer("0000", **changes))
    assert response.status_code == 400
    assert len(response.json()["error"]) > 10
    assert not (folder / "answers").exists()


def test_what_is_no_json_and_what_was_not_answered(client):
    headers = {"content-type": "application/json"}
    assert client.put("/answer", content=b"{", headers=headers).status_code == 400
    assert client.put("/answer", content=b"[]", headers=headers).status_code == 400
    assert client.request("DELETE", "/answer", json=answer("0000")).status_code == 400


def test_a_full_disk_is_told_and_loses_nothing(client, folder):
    client.put("/answer", json=answer("0000"))
    (folder / "answers" / "Ann.jsonl").chmod(0o400)
    (folder / "answers" / "Bob.jsonl").mkdir()  # so that root cannot write there either
    response = client.put("/answer", json=answer("0000", annotator="Bob"))
    assert response.status_code == 500
    assert "must be in a folder that can be written" in response.json()["error"]
